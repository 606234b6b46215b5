// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include "base/unique_fd.h"

#ifndef PR_SET_IO_FLUSHER  // linux/prctl.h, since 5.6
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

namespace pleat {

Result<void> set_io_flusher() {
  if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) {
    return errno_error(
        "cannot mark an I/O thread with PR_SET_IO_FLUSHER (needs CAP_SYS_RESOURCE; run as root)");
  }
  if (prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) != 1) {
    return Error{EINVAL, "PR_SET_IO_FLUSHER had no effect on this kernel"};
  }
  return {};
}

Result<void> lock_memory() {
  if (mlockall(MCL_CURRENT) != 0 || mlockall(MCL_FUTURE | MCL_ONFAULT) != 0) {
    return errno_error("cannot lock memory; run as root or raise the limit (ulimit -l unlimited)");
  }
  return {};
}

[[gnu::noinline]] void touch_stack() {
  constexpr std::size_t kBytes = std::size_t{64} << 10;
  volatile char area[kBytes];
  for (std::size_t i = 0; i < kBytes; i += 1024) area[i] = 0;
  static_cast<void>(area[0]);
}

Result<void> protect_from_oom_killer() {
  const UniqueFd file(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (!file || write(file.get(), "-1000", 5) != 5) {
    return errno_error("cannot set oom_score_adj to -1000; run as root");
  }
  return {};
}

namespace {

Result<void> set_real_time_of(pid_t thread) {
  sched_param parameters{};
  parameters.sched_priority = sched_get_priority_min(SCHED_RR);
  if (sched_setscheduler(thread, SCHED_RR | SCHED_RESET_ON_FORK, &parameters) != 0) {
    return errno_error("cannot get a real-time priority (needs CAP_SYS_NICE; run as root)");
  }
  return {};
}

}  // namespace

Result<void> set_real_time() { return set_real_time_of(0); }

Result<void> set_real_time_of_all() {
  const std::unique_ptr<DIR, int (*)(DIR*)> tasks(opendir("/proc/self/task"), closedir);
  if (!tasks) return errno_error("cannot open /proc/self/task");
  while (const dirent* const entry = readdir(tasks.get())) {
    const auto thread = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (thread <= 0) continue;
    if (auto set = set_real_time_of(thread); !set) return set;
  }
  return {};
}

BackgroundPriority::BackgroundPriority() noexcept
    : is_real_time_((sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_RR) {
  // Of the thread alone, and of no meaning while it is a real-time one.
  constexpr int kLowest = 19;
  if (is_real_time_) setpriority(PRIO_PROCESS, 0, kLowest);
  lower();
}

void BackgroundPriority::raise() noexcept {
  if (is_real_time_) static_cast<void>(set_real_time());
}

void BackgroundPriority::lower() noexcept {
  const sched_param parameters{};
  if (is_real_time_) sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &parameters);
}

}  // namespace pleat
