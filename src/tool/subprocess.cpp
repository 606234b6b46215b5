// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace pleat::tool {
namespace {

constexpr int kExecFailed = 127;  // as the shell has it

// In the child: puts the descriptors in place and closes all others. Only system calls from here
// to execv().
void arrange_files(const ChildFiles& files) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(files.output < 0 ? null : files.output, STDOUT_FILENO);
  dup2(files.error < 0 ? null : files.error, STDERR_FILENO);
  const unsigned first = STDERR_FILENO + 1;
  if (files.kept < 0) {
    close_range(first, ~0u, 0);
    return;
  }
  fcntl(files.kept, F_SETFD, 0);
  const auto kept = static_cast<unsigned>(files.kept);
  if (kept > first) close_range(first, kept - 1, 0);
  close_range(kept + 1, ~0u, 0);
}

[[noreturn]] void run_child(char* const* argv, const ChildFiles& files) {
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  arrange_files(files);
  execv(argv[0], argv);
  const char* reason = std::strerror(errno);
  // The reason goes where the program's own messages would.
  for (const char* part : {"cannot run ", static_cast<const char*>(argv[0]), ": ", reason, "\n"}) {
    (void)!write(STDERR_FILENO, part, std::strlen(part));
  }
  _exit(kExecFailed);
}

// Reads until the end or the deadline; false after the latter.
bool read_all(int fd, std::uint64_t deadline_ns, std::string& text) {
  constexpr std::size_t kKeptBytesMax = std::size_t{64} << 10;
  while (true) {
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return false;
    pollfd entry{fd, POLLIN, 0};
    const int ready = poll(&entry, 1, static_cast<int>((deadline_ns - now_ns) / 1'000'000 + 1));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    std::array<char, 4096> chunk;
    const ssize_t count = read(fd, chunk.data(), chunk.size());
    if (count <= 0) return true;
    if (text.size() < kKeptBytesMax) text.append(chunk.data(), static_cast<std::size_t>(count));
  }
}

}  // namespace

Result<pid_t> spawn(const std::vector<std::string>& argv, const ChildFiles& files) {
  std::vector<char*> pointers;
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) return errno_error("cannot start " + argv[0]);
  if (child == 0) run_child(pointers.data(), files);
  return child;
}

bool is_running(pid_t child) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

std::optional<int> wait_for_exit(pid_t child, unsigned timeout_ms) {
  const std::uint64_t deadline_ns = monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) return status;
    if (ended < 0 && errno != EINTR) return std::nullopt;
    if (monotonic_ns() >= deadline_ns) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string describe_exit(int wait_status) {
  if (WIFEXITED(wait_status)) return "exit status " + std::to_string(WEXITSTATUS(wait_status));
  const int signal = WTERMSIG(wait_status);
  return "signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
}

Result<std::string> run_program(const std::vector<std::string>& argv, unsigned timeout_ms) {
  const std::uint64_t deadline_ns = monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("cannot make a pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const Result<pid_t> child = spawn(argv, {.output = writer.get(), .error = writer.get()});
  if (!child) return child.error();
  writer.reset();
  std::string output;
  const bool ended = read_all(reader.get(), deadline_ns, output);
  const std::optional<int> status = wait_for_exit(*child, ended ? 1000 : 0);
  if (!status) {
    kill(*child, SIGKILL);
    wait_for_exit(*child, 1000);
    return Error{ETIMEDOUT, argv[0] + " took longer than " + std::to_string(timeout_ms / 1000) +
                                " s and was ended"};
  }
  if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return output;
  const std::string said = last_line(output);
  return Error{EIO, argv[0] + " failed: " + (said.empty() ? describe_exit(*status) : said)};
}

Result<std::string> find_program(const std::string& program) {
  const char* set = std::getenv("PATH");
  std::string directories = (set == nullptr ? "" : std::string(set)) + ":/usr/sbin:/sbin";
  while (!directories.empty()) {
    const std::size_t end = directories.find(':');
    const std::string path = directories.substr(0, end) + "/" + program;
    directories = end == std::string::npos ? "" : directories.substr(end + 1);
    if (path[0] == '/' && access(path.c_str(), X_OK) == 0) return path;
  }
  return Error{ENOENT, "there is no program " + program + " in PATH"};
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\n\r ");
  if (end == std::string::npos) return {};
  const std::size_t newline = text.find_last_of('\n', end);
  const std::size_t start = newline == std::string::npos ? 0 : newline + 1;
  return text.substr(start, end + 1 - start);
}

}  // namespace pleat::tool
