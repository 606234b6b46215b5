// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/bounded.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "daemon/pidfd.h"

namespace pleat::daemon {

namespace {

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
  if (!wait_for_input(results.get(), timeout_ms)) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, WNOHANG);
    return Error{ETIMEDOUT, what + " took longer than " + std::to_string(timeout_ms / 1000) +
                                " s and was given up"};
  }
  Result<void> result = read_result(results.get());
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (result && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
    return Error{EIO, what + " ended unexpectedly"};
  }
  return result;
}

}  // namespace pleat::daemon
