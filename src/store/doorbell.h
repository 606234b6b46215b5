// SPDX-License-Identifier: MIT OR Apache-2.0
// How the I/O path wakes a background thread: a futex, which allocates nothing and is a system call
// only for the first ring after the sleeper last looked.
//
// Thread safety: any thread rings, one thread waits. No ring is lost: each ring and each wait()
// writes the one word. Either the ring comes first, and the waiter that takes it back sees all that
// was done before it, or it finds the word taken back, and the next wait() ends at once. A ring
// that only looked whether the word is set already could look before its own side's writes are to
// be seen.
#pragma once

#include <atomic>
#include <cstdint>

#include "store/futex.h"

namespace pleat::store {

class Doorbell {
 public:
  void ring() noexcept {
    if (rung_.exchange(1, std::memory_order_acq_rel) == 0) futex_wake(rung_, 1);
  }

  // Returns once the bell was rung since the last wait.
  void wait() noexcept {
    while (!take()) futex_wait(rung_, 0);
  }
  // The same, or after about `limit_ns`; whether the bell was rung.
  bool wait_for(std::uint64_t limit_ns) noexcept {
    stand_by(limit_ns);
    return take();
  }

  // wait_for() in two steps, for a waiter who is to be seen at work before its bell is silent.
  void stand_by(std::uint64_t limit_ns) noexcept {
    if (!is_rung()) futex_wait(rung_, 0, limit_ns);
  }
  bool take() noexcept { return rung_.exchange(0, std::memory_order_acq_rel) != 0; }
  bool is_rung() const noexcept { return rung_.load(std::memory_order_acquire) != 0; }

 private:
  std::atomic<std::uint32_t> rung_{0};
};

}  // namespace pleat::store
