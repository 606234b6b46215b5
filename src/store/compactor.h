// SPDX-License-Identifier: MIT OR Apache-2.0
// Compaction: a thread that empties sparse spans into fuller ones, so that their pages are free
// again.
//
// An object moves so: its bytes are copied to an object that nobody knows, then the slot word is
// made to lead there by one compare-and-swap, and the old object is freed. No lock is held in
// between, so no reader or writer of the page waits for it: the swap fails where a reader holds the
// word's lock or a writer has replaced the word, and then the object stays. The copy is never a
// torn one, since nothing is allocated from a span that is being emptied: as long as the word leads
// to the old object its bytes do not change. Killed at any instruction, it leaves an object that no
// word leads to, which a successor takes for free.
//
// A group's object moves with all words that lead to it, or it would be there twice: they are
// locked while it is copied, and where one of them is locked already it stays.
//
// The thread has the priority of the threads that write. A lower one would have it lose the
// processor with a size class's lock held, for as long as others have work, and writers would wait
// for it. Instead it works for some 50 us at a time and then rests for longer.
//
// Thread safety: compact() and freed_pages() from any thread; start() and the destructor once.
// Nothing is allocated after construction.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "base/result.h"
#include "store/counters.h"
#include "store/doorbell.h"
#include "store/pool.h"
#include "store/slot_table.h"

namespace pleat::store {

class Compactor {
 public:
  // How long the bell is silent before the last spans of classes are emptied too.
  static constexpr std::uint64_t kQuiet_ns = 60'000'000'000;

  // Adds to `freed` what it frees, and nobody else does.
  Compactor(const SlotTable& slots, Pool& pool, Doorbell& bell, Counters::Count& freed);
  ~Compactor();
  Compactor(const Compactor&) = delete;
  Compactor& operator=(const Compactor&) = delete;

  // Starts the thread, which waits for the bell, and where it was not rung for `quiet_ns` frees
  // what it can. EPERM where `io_flusher` cannot be set.
  Result<void> start(bool io_flusher, std::uint64_t quiet_ns = kQuiet_ns);

  // Has the thread free what it can, and returns, when it has, how many pages were freed meanwhile.
  std::uint64_t compact() noexcept;
  // Waits, at most until `deadline_ns` of monotonic_ns(), until the thread rests; whether it does.
  bool settle(std::uint64_t deadline_ns) const noexcept;
  // Pages that were freed so far, by processes before this one too.
  std::uint64_t freed_pages() const noexcept {
    return static_cast<std::uint64_t>(freed_.load(std::memory_order_relaxed));
  }

  // What the thread does, for tests that do it on their own, one at a time.
  //
  // Empties the sparsest span of the class, with objects moved up to `reach` classes higher than
  // their own; the pages that this freed.
  unsigned drain(unsigned size_class, unsigned reach) noexcept;
  // Empties spans within their classes until no more than `surplus` pages are left that way, and
  // what is left of classes that do not serve any more into those that do.
  void compact_within_classes(std::uint64_t surplus) noexcept;
  // Empties also what is left of a class into the next larger ones.
  void compact_across_classes() noexcept;

 private:
  enum class Move : std::uint8_t { kDone, kNotNow, kNoRoom };

  void run(std::uint64_t quiet_ns) noexcept;
  // Empties spans of the class, not too many at once, as long as `reach` larger ones have room.
  void empty_into_larger(unsigned size_class, unsigned reach) noexcept;
  Move move(std::uint64_t location, unsigned size_class, unsigned reach) noexcept;
  Move move_page(std::uint64_t location, std::uint64_t slot, SlotWord seen, unsigned size_class,
                 unsigned reach) noexcept;
  Move move_group(std::uint64_t location, std::uint64_t first, unsigned size_class,
                  unsigned reach) noexcept;
  // A free object for `bytes`; whether there is one.
  bool find_target(std::size_t bytes, unsigned size_class, unsigned reach,
                   std::uint64_t* target) noexcept;
  void rest() noexcept;
  bool stopping() const noexcept { return stop_.load(std::memory_order_relaxed); }

  const SlotTable slots_;
  Pool& pool_;
  Doorbell& bell_;
  std::uint64_t resumed_ns_ = 0;  // when it began to work after the last rest
  std::uint64_t stretch_ns_ = 0;  // for how long it may work before the next
  bool has_worked_ = false;       // since the clock was looked at
  std::uint64_t rest_per_work_ = 1;
  Counters::Count& freed_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> working_{false};
  // compact(): what was asked for, and what was done.
  std::atomic<std::uint64_t> asked_{0};
  std::atomic<std::uint64_t> answered_{0};
  std::thread thread_;
};

}  // namespace pleat::store
