// SPDX-License-Identifier: MIT OR Apache-2.0
// The futex of Linux over an atomic of this process. std::atomic::wait() knows no time limit.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <ctime>

namespace pleat::store {

constexpr int kFutexAll = INT_MAX;

static_assert(sizeof(std::atomic<std::uint32_t>) == 4);

// Sleeps while the word is `expected`, at most `limit_ns`, 0 = without limit. May return early.
inline void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::uint64_t limit_ns = 0) noexcept {
  const timespec limit{static_cast<std::time_t>(limit_ns / 1'000'000'000),
                       static_cast<long>(limit_ns % 1'000'000'000)};
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, limit_ns == 0 ? nullptr : &limit, nullptr,
          0);
}

// Wakes up to `count` sleepers.
inline void futex_wake(std::atomic<std::uint32_t>& word, int count) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

}  // namespace pleat::store
