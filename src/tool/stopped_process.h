// SPDX-License-Identifier: MIT OR Apache-2.0
// A process that stands still for as long as this object lives.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "tool/blocked_signals.h"

namespace pleat::tool {

// Sends SIGSTOP, and SIGCONT when it is destroyed unless the process was stopped before. Signals
// that would end this program between the two wait meanwhile.
class StoppedProcess {
 public:
  // Returns once the process stands still. ESRCH, EPERM, ETIMEDOUT.
  static Result<StoppedProcess> stop(pid_t pid);
  StoppedProcess(StoppedProcess&& other) noexcept;
  StoppedProcess& operator=(StoppedProcess&&) = delete;
  ~StoppedProcess();

 private:
  explicit StoppedProcess(pid_t pid) : pid_(pid) {}

  BlockedSignals signals_;
  pid_t pid_;  // 0 once moved from
  bool resume_ = false;
};

}  // namespace pleat::tool
