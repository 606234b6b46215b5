// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/anchor.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>

#include "base/unique_fd.h"

namespace pleat {
namespace {

std::atomic<MappedFile*> mapped_files{nullptr};

alignas(64) std::byte anchor_stack[std::size_t{16} << 10];
int anchored_pidfd = -1;

// What this returns is looked at by nobody, and the calls before the other's end cannot fail: errno
// is that of the thread which made the anchor.
int run_anchor(void*) {
  const int pidfd = anchored_pidfd;
  if (pidfd > 0) syscall(SYS_close_range, 0, pidfd - 1, 0);
  syscall(SYS_close_range, pidfd + 1, UINT_MAX, 0);
  syscall(SYS_prctl, PR_SET_NAME, "pleatd-anchor", 0, 0, 0);
  pollfd end{pidfd, POLLIN, 0};
  while (syscall(SYS_ppoll, &end, 1, nullptr, nullptr, 0) != 1) {
  }
  for (const MappedFile* file = mapped_files; file != nullptr; file = file->next) {
    syscall(SYS_munmap, file->address, file->bytes);
  }
  // Not SCHED_IDLE: what gives memory back holds locks that a successor may wait for.
  const sched_param parameters{};
  syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &parameters);
  syscall(SYS_exit_group, 0);
  return 0;
}

}  // namespace

Result<void> make_anchor() {
  const UniqueFd self(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!self) return errno_error("cannot open a pidfd of this process");
  anchored_pidfd = self.get();
  // It inherits the mask: nothing but the other's end is to wake it.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid =
      clone(run_anchor, anchor_stack + sizeof(anchor_stack), CLONE_VM | CLONE_UNTRACED, nullptr);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return errno_error(error, "cannot make a process that shares this one's memory");
  // A successor waits for what it unmaps. Where that is not allowed it is as fast as others.
  const sched_param parameters{sched_get_priority_min(SCHED_RR)};
  static_cast<void>(sched_setscheduler(pid, SCHED_RR | SCHED_RESET_ON_FORK, &parameters));
  return {};
}

void unmap_at_end(MappedFile& file) noexcept {
  file.next = mapped_files.load(std::memory_order_relaxed);
  while (!mapped_files.compare_exchange_weak(file.next, &file, std::memory_order_release)) {
  }
}

}  // namespace pleat
