// SPDX-License-Identifier: MIT OR Apache-2.0
// How threads of the I/O path wait for each other: a short spin, then naps.
//
// Every wait in the store is for a critical section of at most a few microseconds. A waiter that
// only spun or yielded would, where it has a real-time priority, keep the holder from the processor
// for ever; so it sleeps after a while. A futex would need the lock word to hold waiters, for which
// a slot word has no room.
//
// Thread safety: ShortLock is a BasicLockable; a Backoff belongs to one wait of one thread.
#pragma once

#include <atomic>
#include <ctime>

namespace pleat::store {

class Backoff {
 public:
  // To be called each time the condition was found false.
  void wait() noexcept {
    if (spins_ < kSpins) {
      ++spins_;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#endif
      return;
    }
    const timespec nap{0, kNap_ns};
    nanosleep(&nap, nullptr);
  }

 private:
  // About the time in which a page is decompressed, so that a holder that runs is not slept for.
  static constexpr int kSpins = 64;
  static constexpr long kNap_ns = 30'000;
  int spins_ = 0;
};

class ShortLock {
 public:
  void lock() noexcept {
    if (!locked_.exchange(true, std::memory_order_acquire)) return;
    Backoff backoff;
    do {
      backoff.wait();
    } while (locked_.load(std::memory_order_relaxed) ||
             locked_.exchange(true, std::memory_order_acquire));
  }
  void unlock() noexcept { locked_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> locked_{false};
};

}  // namespace pleat::store
