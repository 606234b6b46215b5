// SPDX-License-Identifier: MIT OR Apache-2.0
// Holds back the signals that people end a program with while something is in a state that must be
// undone. They take effect when this object is destroyed.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <utility>

namespace pleat::tool {

// SIGINT, SIGTERM and SIGHUP of the calling thread, and of threads that it starts meanwhile.
class BlockedSignals {
 public:
  BlockedSignals() : active_(true) {
    const sigset_t wait = set();
    ::pthread_sigmask(SIG_BLOCK, &wait, &old_mask_);
  }
  BlockedSignals(BlockedSignals&& other) noexcept
      : active_(std::exchange(other.active_, false)), old_mask_(other.old_mask_) {}
  BlockedSignals& operator=(BlockedSignals&&) = delete;
  ~BlockedSignals() {
    if (active_) ::pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
  }

  // Whether one of them has come since.
  static bool pending() {
    sigset_t signals;
    if (::sigpending(&signals) != 0) return false;
    for (const int signal : kSignals) {
      if (sigismember(&signals, signal) == 1) return true;
    }
    return false;
  }

 private:
  static constexpr std::initializer_list<int> kSignals = {SIGINT, SIGTERM, SIGHUP};
  static sigset_t set() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : kSignals) sigaddset(&signals, signal);
    return signals;
  }

  bool active_;
  sigset_t old_mask_{};
};

}  // namespace pleat::tool
