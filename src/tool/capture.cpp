// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/capture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <numeric>
#include <optional>
#include <random>
#include <span>
#include <utility>

#include "base/clock.h"
#include "base/page.h"
#include "base/unique_fd.h"
#include "tool/process_memory.h"
#include "tool/stopped_process.h"

namespace pleat::tool {
namespace {

// The unit of sampling is one page, or the four pages of an aligned group: unit_pages entries of
// the list of resident pages from an index on. These are the indices.
std::vector<std::size_t> units_of(const std::vector<ResidentPage>& pages, std::size_t unit_pages) {
  const std::uint64_t unit_bytes = unit_pages * kPageSize;
  std::vector<std::size_t> units;
  units.reserve(pages.size() / unit_pages);
  for (std::size_t i = 0; i + unit_pages <= pages.size(); ++i) {
    const std::uint64_t begin = pages[i].address;
    const std::uint64_t last = pages[i + unit_pages - 1].address;
    if (begin % unit_bytes == 0 && last == begin + unit_bytes - kPageSize) units.push_back(i);
  }
  return units;
}

// Reads a unit behind the bytes that are there; nothing is added where it is not wanted.
bool take_unit(const ProcessMemory& memory, std::span<const ResidentPage> unit,
               CapturedPages& captured) {
  std::vector<std::byte>& bytes = captured.bytes;
  const std::size_t before = bytes.size();
  for (const ResidentPage& page : unit) {
    bytes.resize(bytes.size() + kPageSize);
    std::byte* to = bytes.data() + bytes.size() - kPageSize;
    const bool there = memory.read(page.address, to);
    const bool shared_zero = there && memory.shared_zero_page(page, to);
    captured.pages_vanished += there ? 0 : 1;
    captured.shared_zero_pages += shared_zero ? 1 : 0;
    if (!there || shared_zero) {
      bytes.resize(before);
      return false;
    }
  }
  return true;
}

// Draws units until there are enough pages: a shuffle that goes only as far as it must. What is
// left out is drawn and dropped, so the rest stays a uniform sample. Returns the indices taken.
std::vector<std::size_t> sample_units(const ProcessMemory& memory,
                                      const std::vector<ResidentPage>& pages,
                                      std::size_t unit_pages, const CaptureOptions& options,
                                      CapturedPages& captured) {
  std::vector<std::size_t> units = units_of(pages, unit_pages);
  std::mt19937_64 random(options.seed);
  std::vector<std::size_t> taken;
  for (std::size_t i = 0; i < units.size(); ++i) {
    if ((taken.size() + 1) * unit_pages > options.pages_max) break;
    std::uniform_int_distribution<std::size_t> draw(i, units.size() - 1);
    std::swap(units[i], units[draw(random)]);
    const std::span<const ResidentPage> unit(&pages[units[i]], unit_pages);
    if (take_unit(memory, unit, captured)) taken.push_back(units[i]);
  }
  return taken;
}

// Brings the captured units, read in the order of `taken`, into the order of their addresses.
void sort_units(const std::vector<std::size_t>& taken, std::size_t unit_pages,
                CapturedPages& captured) {
  std::vector<std::size_t> order(taken.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return taken[a] < taken[b]; });
  const auto unit_bytes = static_cast<std::ptrdiff_t>(unit_pages * kPageSize);
  std::vector<std::byte> sorted;
  sorted.reserve(captured.bytes.size());
  for (const std::size_t i : order) {
    const auto from = captured.bytes.begin() + static_cast<std::ptrdiff_t>(i) * unit_bytes;
    sorted.insert(sorted.end(), from, from + unit_bytes);
  }
  captured.bytes = std::move(sorted);
}

void sleep_ms(long milliseconds) {
  const timespec duration = {milliseconds / 1000, milliseconds % 1000 * 1'000'000};
  ::nanosleep(&duration, nullptr);
}

// A command that this process has started: ended and waited for at the latest on destruction.
class Child {
 public:
  static Result<Child> start(const std::vector<std::string>& command) {
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    int report[2];
    if (::pipe2(report, O_CLOEXEC) != 0) return errno_error("cannot make a pipe");
    const UniqueFd read_end(report[0]);
    UniqueFd write_end(report[1]);
    const pid_t pid = ::fork();
    if (pid < 0) return errno_error("cannot start a process");
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      ::execvp(arguments[0], arguments.data());
      const int code = errno;
      [[maybe_unused]] const ssize_t told = ::write(write_end.get(), &code, sizeof(code));
      ::_exit(127);
    }
    write_end.reset();
    Child child(pid);
    int code = 0;
    if (::read(read_end.get(), &code, sizeof(code)) == sizeof(code)) {
      return errno_error(code, "cannot run " + command[0]);
    }
    return child;
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGTERM);
    for (int i = 0; i < 200 && !ended(); ++i) sleep_ms(10);
    if (ended()) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  bool ended() {
    if (pid_ != 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
    return pid_ == 0;
  }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;  // 0 once it has ended
};

struct Largest {
  pid_t pid = 0;
  std::uint64_t bytes = 0;
};

Largest largest_of_tree(pid_t root) {
  Largest largest;
  for (const pid_t pid : process_tree(root)) {
    const std::uint64_t bytes = resident_anonymous_bytes(pid);
    if (bytes > largest.bytes) largest = {pid, bytes};
  }
  return largest;
}

Error ended_early(const std::string& command) {
  return Error{ENODATA, command + " ended before its pages could be captured"};
}

Result<CapturedPages> capture_after(Child& child, const std::string& command, double seconds,
                                    const CaptureOptions& options) {
  const std::uint64_t end = monotonic_ns() + static_cast<std::uint64_t>(seconds * 1e9);
  while (monotonic_ns() < end) {
    if (child.ended()) return ended_early(command);
    const std::uint64_t left_ms = (end - std::min(end, monotonic_ns())) / 1'000'000;
    sleep_ms(static_cast<long>(std::min<std::uint64_t>(left_ms + 1, 20)));
  }
  const Largest largest = largest_of_tree(child.pid());
  if (child.ended() || largest.pid == 0) return ended_early(command);
  return capture_process(largest.pid, options);
}

Result<CapturedPages> capture_at_peak(Child& child, const std::string& command,
                                      const CaptureOptions& options) {
  std::optional<CapturedPages> best;
  std::uint64_t best_bytes = 0;
  std::optional<Error> failure;
  while (!child.ended()) {
    const Largest largest = largest_of_tree(child.pid());
    if (largest.bytes > best_bytes + best_bytes / 10) {
      Result<CapturedPages> captured = capture_process(largest.pid, options);
      // A process may end at any moment, so what fails now may succeed with its successor.
      if (captured) {
        best = std::move(*captured);
        best_bytes = largest.bytes;
      } else {
        failure = captured.error();
      }
    }
    sleep_ms(20);
  }
  if (best) return std::move(*best);
  return failure ? *failure : ended_early(command);
}

}  // namespace

std::size_t CapturedPages::pages() const { return bytes.size() / kPageSize; }

Result<CapturedPages> capture_process(pid_t pid, const CaptureOptions& options) {
  if (pid == ::getpid()) return Error{EINVAL, "pleat cannot capture itself"};
  CapturedPages captured;
  captured.pid = pid;
  Result<ProcessStat> stat = read_process_stat(pid);
  if (!stat) return std::move(stat).error();
  captured.command = stat->command;
  Result<ProcessMemory> memory = ProcessMemory::open(pid);
  if (!memory) return std::move(memory).error();
  // The room is taken before the process stands still.
  captured.bytes.reserve(options.pages_max * kPageSize);

  std::optional<StoppedProcess> stopped;
  if (options.stop) {
    Result<StoppedProcess> stop = StoppedProcess::stop(pid);
    if (!stop) return std::move(stop).error();
    stopped.emplace(std::move(*stop));
  }
  Result<std::vector<ResidentPage>> pages = memory->resident_pages();
  if (!pages) return std::move(pages).error();
  captured.pages_found = pages->size();
  const std::size_t unit_pages = options.groups ? kGroupPages : 1;
  const std::vector<std::size_t> taken =
      sample_units(*memory, *pages, unit_pages, options, captured);
  stopped.reset();
  sort_units(taken, unit_pages, captured);
  if (captured.bytes.empty()) {
    return Error{ENODATA, fmt::format("process {} ({}) has no anonymous private page in memory{}",
                                      pid, captured.command,
                                      options.groups ? " that is part of a whole group" : "")};
  }
  return captured;
}

Result<CapturedPages> capture_command(const std::vector<std::string>& command,
                                      const CommandOptions& when, const CaptureOptions& options) {
  if (command.empty()) return Error{EINVAL, "no command to run"};
  Result<Child> child = Child::start(command);
  if (!child) return std::move(child).error();
  return when.after_seconds > 0 ? capture_after(*child, command[0], when.after_seconds, options)
                                : capture_at_peak(*child, command[0], options);
}

Result<void> write_pages(const std::string& path, const std::vector<std::byte>& bytes) {
  const std::string partial = path + ".partial";
  UniqueFd fd(::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return errno_error("cannot write " + path);
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t written = ::write(fd.get(), bytes.data() + at, bytes.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      Error error = errno_error("cannot write " + path);
      ::unlink(partial.c_str());
      return error;
    }
    at += static_cast<std::size_t>(written);
  }
  if (::rename(partial.c_str(), path.c_str()) != 0) {
    Error error = errno_error("cannot write " + path);
    ::unlink(partial.c_str());
    return error;
  }
  return {};
}

}  // namespace pleat::tool
