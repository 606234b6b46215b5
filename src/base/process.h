// SPDX-License-Identifier: MIT OR Apache-2.0
// What a process that serves swap asks of the kernel for itself.
#pragma once

#include "base/result.h"

namespace pleat {

// Marks the calling thread as part of the I/O path of a block device (PR_SET_IO_FLUSHER,
// Linux 5.6), so that memory it allocates never waits for that device, and reads the mark back.
// EPERM without CAP_SYS_RESOURCE.
Result<void> set_io_flusher();

// Locks all memory the process has now, which faults all of it in, and what it maps later as it is
// touched (mlockall MCL_CURRENT, then MCL_FUTURE | MCL_ONFAULT): so call it before a large sparse
// mapping is made.
Result<void> lock_memory();

// Faults in the next 64 KiB of the calling thread's stack, so that they are locked before they are
// needed.
void touch_stack();

// Takes the process out of the OOM killer's choice (oom_score_adj -1000).
Result<void> protect_from_oom_killer();

// Gives the calling thread the lowest real-time priority (SCHED_RR, 1), so that it runs as soon as
// it is woken. Threads and processes that it makes do not inherit it. EPERM without CAP_SYS_NICE.
Result<void> set_real_time();
// The same for every thread that the process has now.
Result<void> set_real_time_of_all();

// The priority of work that can wait, on a thread whose locks others wait for: from construction on
// the lowest normal one, in place of the real-time priority that the thread has, which raise()
// gives it back for the time of a lock and the destructor for good. Where it has none nothing
// changes, since it would not get its priority back.
class BackgroundPriority {
 public:
  BackgroundPriority() noexcept;
  ~BackgroundPriority() { raise(); }
  BackgroundPriority(const BackgroundPriority&) = delete;
  BackgroundPriority& operator=(const BackgroundPriority&) = delete;

  void raise() noexcept;
  void lower() noexcept;

 private:
  bool is_real_time_;
};

}  // namespace pleat
