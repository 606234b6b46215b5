// SPDX-License-Identifier: MIT OR Apache-2.0
// How the I/O path wakes the background thread: a futex, which allocates nothing and is a system
// call only for the first ring after the sleeper last looked.
//
// Thread safety: any thread rings, one thread waits. No ring is lost: wait() takes the ring back
// before the waiter looks at what it is about, and both sides look under the page allocator's lock.
#pragma once

#include <atomic>
#include <cstdint>

#include "store/futex.h"

namespace pleat::store {

class Doorbell {
 public:
  void ring() noexcept {
    if (rung_.load(std::memory_order_relaxed) != 0) return;
    if (rung_.exchange(1, std::memory_order_acq_rel) == 0) futex_wake(rung_, 1);
  }

  // Returns once the bell was rung since the last wait().
  void wait() noexcept {
    while (rung_.exchange(0, std::memory_order_acq_rel) == 0) futex_wait(rung_, 0);
  }

 private:
  std::atomic<std::uint32_t> rung_{0};
};

}  // namespace pleat::store
