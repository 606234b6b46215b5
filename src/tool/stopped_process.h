// SPDX-License-Identifier: MIT OR Apache-2.0
// A process that stands still for as long as this object lives.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "base/result.h"

namespace pleat::tool {

// Sends SIGSTOP, and SIGCONT when it is destroyed unless the process was stopped before. SIGINT,
// SIGTERM and SIGHUP to the calling thread wait meanwhile, so that they cannot end this program
// between the two.
class StoppedProcess {
 public:
  // Returns once the process stands still. ESRCH, EPERM, ETIMEDOUT.
  static Result<StoppedProcess> stop(pid_t pid);
  StoppedProcess(StoppedProcess&& other) noexcept;
  StoppedProcess& operator=(StoppedProcess&&) = delete;
  ~StoppedProcess();

 private:
  explicit StoppedProcess(pid_t pid);

  pid_t pid_;  // 0 once moved from
  bool resume_ = false;
  sigset_t old_mask_{};
};

}  // namespace pleat::tool
