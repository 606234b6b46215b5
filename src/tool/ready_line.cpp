// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/ready_line.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "control/paths.h"
#include "tool/subprocess.h"

namespace pleat::tool {
namespace {

using nlohmann::json;

constexpr std::size_t kLineBytesMax = std::size_t{64} << 10;

bool has_string(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string();
}

Result<RunningDaemon> parse_ready_line(const std::string& line, pid_t daemon) {
  const json ready = json::parse(line, nullptr, false);
  const Error malformed{EBADMSG, "pleatd said something else than ready: " + line};
  if (!ready.is_object()) return malformed;
  const auto ok = ready.find("ok");
  if (ok == ready.end() || !ok->is_boolean()) return malformed;
  if (!ok->get<bool>()) {
    const auto code = ready.find("code");
    if (code == ready.end() || !code->is_number_integer() || !has_string(ready, "error")) {
      return malformed;
    }
    return Error{code->get<int>(), ready["error"].get<std::string>()};
  }
  for (const char* key : {"path", "transport", "reason"}) {
    if (!has_string(ready, key)) return malformed;
  }
  return RunningDaemon{daemon, ready["path"].get<std::string>(),
                       ready["transport"].get<std::string>(), ready["reason"].get<std::string>()};
}

}  // namespace

ReadyChannel::ReadyChannel(std::string name, UniqueFd reader, UniqueFd writer)
    : name_(std::move(name)), reader_(std::move(reader)), writer_(std::move(writer)) {}

Result<ReadyChannel> ReadyChannel::open(const std::string& name, bool log_to_terminal) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("cannot make a pipe");
  ReadyChannel channel(name, UniqueFd(ends[0]), UniqueFd(ends[1]));
  if (log_to_terminal) return channel;
  if (Result<void> made = control::make_runtime_directory(); !made) return made.error();
  const std::string path = log_path(name);
  channel.log_.reset(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!channel.log_) {
    const int code = errno;
    return errno_error(code, "cannot write " + path + (code == EACCES ? " (run as root)" : ""));
  }
  channel.log_start_ = lseek(channel.log_.get(), 0, SEEK_END);
  return channel;
}

int ReadyChannel::log_fd() const noexcept { return log_ ? log_.get() : STDERR_FILENO; }

Result<RunningDaemon> ReadyChannel::wait(pid_t daemon, unsigned timeout_ms,
                                         Interruption& interruption) {
  const Result<std::string> line = read_line(timeout_ms, interruption);
  if (!line) {
    log_is_wanted_ = line.error().code != EINTR;
    return line.error();
  }
  if (line->empty()) return death_of(daemon);
  Result<RunningDaemon> ready = parse_ready_line(*line, daemon);
  daemon_failed_ = !ready && ready.error().code != EBADMSG;
  return ready;
}

// The line without its newline; empty where the pipe ended before one.
Result<std::string> ReadyChannel::read_line(unsigned timeout_ms, Interruption& interruption) {
  const std::uint64_t deadline_ns = monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  std::string text;
  while (text.size() < kLineBytesMax) {
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) {
      return Error{ETIMEDOUT, "pleatd was not ready within " + std::to_string(timeout_ms / 1000) +
                                  " s and was ended; see " + log_path(name_)};
    }
    std::array<pollfd, 2> entries{{{reader_.get(), POLLIN, 0}, {interruption.fd(), POLLIN, 0}}};
    const int left_ms = static_cast<int>((deadline_ns - now_ns) / 1'000'000 + 1);
    if (poll(entries.data(), entries.size(), left_ms) < 0 && errno != EINTR) {
      return errno_error("poll");
    }
    if (interruption.interrupted()) return Error{EINTR, "interrupted"};
    if (entries[0].revents == 0) continue;
    std::array<char, 4096> chunk;
    const ssize_t count = read(reader_.get(), chunk.data(), chunk.size());
    if (count <= 0) return std::string();
    text.append(chunk.data(), static_cast<std::size_t>(count));
    const std::size_t end = text.find('\n');
    if (end != std::string::npos) return text.substr(0, end);
  }
  return Error{EBADMSG, "pleatd's ready line is longer than 64 KiB"};
}

Error ReadyChannel::death_of(pid_t daemon) {
  log_is_wanted_ = true;
  std::string message = "pleatd ended before its device was ready";
  const std::optional<int> status = wait_for_exit(daemon, 2000);
  if (status) message += " (" + describe_exit(*status) + ")";
  const std::string said = last_line(log_since_start());
  if (!said.empty()) message += "; its last words: " + said;
  return Error{ECHILD, message};
}

std::string ReadyChannel::log_since_start() const {
  if (!log_) return {};
  const UniqueFd file(::open(log_path(name_).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  std::string text(kLineBytesMax, '\0');
  const ssize_t count = file ? pread(file.get(), text.data(), text.size(), log_start_) : -1;
  text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return text;
}

void ReadyChannel::remove_log() {
  if (log_ && log_start_ == 0 && !log_is_wanted_) unlink(log_path(name_).c_str());
}

}  // namespace pleat::tool
