// SPDX-License-Identifier: MIT OR Apache-2.0
// Claims: how a background thread works on pages that others go on using.
//
// A claim is an age that the word has only meanwhile: every access ends it, since it leaves another
// age there. So the word can be replaced by one compare-and-swap long after its bytes were read:
// where it still is claimed nobody has used the page, and at most compaction has moved it. The page
// is locked no longer than for a read.
//
// Thread safety: one thread claims, of whatever number use the slots.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "store/pool.h"
#include "store/slot_lock.h"
#include "store/slot_word.h"

namespace pleat::store {

// How often who looks for pages looks at the clock where nothing is to be done.
inline constexpr std::uint64_t kSlotsPerLook = 4096;

// Locks the word if it still is `seen`, calls `look`, which is to read what is stored, and gives
// the lock back with a claim. Whether the word was claimed.
template <typename Look>
bool claim_page(AtomicWord& word, SlotWord seen, Look&& look) noexcept {
  if (!try_lock(word, seen)) return false;
  look();
  unlock(word, seen.with_age(SlotWord::kClaimed));
  return true;
}

// Replaces the word by what `replacement` makes of it, if it still is claimed; what it was. Waits
// for who holds its lock: a reader ends the claim, and compaction does not.
template <typename Replacement>
std::optional<SlotWord> replace_claimed(AtomicWord& word, Pool& pool,
                                        Replacement&& replacement) noexcept {
  SlotWord seen = wait_unlocked(word);
  while (seen.ages() && seen.age() == SlotWord::kClaimed) {
    pool.prepare_free(seen);
    std::uint64_t expected = seen.bits();
    if (word.compare_exchange_weak(expected, replacement(seen).bits(), std::memory_order_acq_rel,
                                   std::memory_order_relaxed)) {
      return seen;
    }
    seen = wait_unlocked(word);
  }
  return std::nullopt;
}

// Ends a claim, if it still is one, and leaves this age.
inline void release_claim(AtomicWord& word, Pool& pool, unsigned age) noexcept {
  (void)replace_claimed(word, pool, [age](SlotWord seen) { return seen.with_age(age); });
}

}  // namespace pleat::store
