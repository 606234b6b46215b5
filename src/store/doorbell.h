// SPDX-License-Identifier: MIT OR Apache-2.0
// How the I/O path wakes the background thread: a futex, which allocates nothing and is a system
// call only for the first ring after the sleeper last looked.
//
// Thread safety: any thread rings, one thread waits. No ring is lost: wait() takes the ring back
// before the waiter looks at what it is about, and both sides look under the page allocator's lock.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <ctime>

namespace pleat::store {

class Doorbell {
 public:
  void ring() noexcept {
    if (rung_.load(std::memory_order_relaxed) != 0) return;
    if (rung_.exchange(1, std::memory_order_acq_rel) == 0) {
      syscall(SYS_futex, address(), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }
  }

  // Returns once the bell was rung since the last wait().
  void wait() noexcept {
    while (rung_.exchange(0, std::memory_order_acq_rel) == 0) {
      syscall(SYS_futex, address(), FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
  }

 private:
  std::uint32_t* address() noexcept { return reinterpret_cast<std::uint32_t*>(&rung_); }

  std::atomic<std::uint32_t> rung_{0};
  static_assert(sizeof(std::atomic<std::uint32_t>) == 4);
};

}  // namespace pleat::store
