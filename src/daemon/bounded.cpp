// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/bounded.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace pleat::daemon {

namespace {

// Polls one descriptor for input until deadline_ns of monotonic_ns(). Whether there is some.
bool wait_for_input(int fd, std::uint64_t deadline_ns) {
  while (true) {
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) return false;
    pollfd entry{fd, POLLIN, 0};
    const int count = poll(&entry, 1, static_cast<int>((deadline_ns - now_ns) / 1'000'000) + 1);
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
  }
}

[[noreturn]] void run_in_child(int results, const std::function<Result<void>()>& task) {
  const Result<void> result = task();
  if (result) _exit(0);
  const std::string& message = result.error().message;
  // The pipe is empty and takes PIPE_BUF bytes at once.
  const std::size_t size = message.size() < 4000 ? message.size() : 4000;
  [[maybe_unused]] ssize_t written = write(results, &result.error().code, sizeof(int));
  written = write(results, message.data(), size);
  _exit(1);
}

Result<void> read_result(int results) {
  int code = EIO;
  if (read(results, &code, sizeof(code)) != sizeof(code)) return {};
  std::string message(4000, '\0');
  const ssize_t size = read(results, message.data(), message.size());
  message.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return Error{code, message};
}

}  // namespace

bool wait_for_exit(int pidfd, unsigned timeout_ms) {
  return wait_for_input(pidfd, monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000);
}

Result<void> run_bounded(const std::string& what, unsigned timeout_ms,
                         const std::function<Result<void>()>& task) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno_error("cannot make a pipe");
  const UniqueFd results(ends[0]);
  UniqueFd results_write(ends[1]);
  const pid_t child = fork();
  if (child < 0) return errno_error("cannot fork");
  if (child == 0) run_in_child(results_write.get(), task);
  results_write.reset();
  // The pipe ends with the child, so one wait serves both; a message comes right before the end.
  const std::uint64_t deadline_ns = monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  if (!wait_for_input(results.get(), deadline_ns)) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, WNOHANG);
    return Error{ETIMEDOUT, what + " took longer than " + std::to_string(timeout_ms / 1000) +
                                " s and was given up"};
  }
  const Result<void> result = read_result(results.get());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (result && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
    return Error{EIO, what + " ended unexpectedly"};
  }
  return result;
}

}  // namespace pleat::daemon
