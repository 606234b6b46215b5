// SPDX-License-Identifier: MIT OR Apache-2.0
// The lock bit of a slot word: how it is taken, waited for and given back.
//
// Thread safety: any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "store/short_lock.h"
#include "store/slot_word.h"

namespace pleat::store {

using AtomicWord = std::atomic<std::uint64_t>;

// The word as it is when nobody holds its lock.
inline SlotWord wait_unlocked(const AtomicWord& word) noexcept {
  SlotWord seen(word.load(std::memory_order_acquire));
  for (Backoff backoff; seen.locked(); seen = SlotWord(word.load(std::memory_order_acquire))) {
    backoff.wait();
  }
  return seen;
}

// Locks the word if it is `seen`; may fail where it is.
inline bool try_lock(AtomicWord& word, SlotWord seen) noexcept {
  std::uint64_t expected = seen.bits();
  return word.compare_exchange_weak(expected, seen.with_lock().bits(), std::memory_order_acquire,
                                    std::memory_order_relaxed);
}

inline void unlock(AtomicWord& word, SlotWord value) noexcept {
  word.store(value.bits(), std::memory_order_release);
}

}  // namespace pleat::store
