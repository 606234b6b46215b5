// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/pidfd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/clock.h"

namespace pleat::daemon {

Result<UniqueFd> open_pidfd(pid_t pid) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return errno_error("cannot watch process " + std::to_string(pid));
  return pidfd;
}

Result<void> send_signal(const UniqueFd& pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0) return {};
  return errno_error("cannot send a signal");
}

bool wait_for_exit(const UniqueFd& pidfd, unsigned timeout_ms) {
  return wait_for_input(pidfd.get(), timeout_ms);
}

bool wait_for_input(int fd, unsigned timeout_ms) {
  const std::uint64_t deadline_ns = monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  while (true) {
    const std::uint64_t now_ns = monotonic_ns();
    const bool is_late = now_ns >= deadline_ns;
    pollfd entry{fd, POLLIN, 0};
    const int left_ms = is_late ? 0 : static_cast<int>((deadline_ns - now_ns) / 1'000'000) + 1;
    const int count = poll(&entry, 1, left_ms);
    if (count > 0) return true;
    if (is_late || (count < 0 && errno != EINTR)) return false;
  }
}

}  // namespace pleat::daemon
