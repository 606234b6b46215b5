// SPDX-License-Identifier: MIT OR Apache-2.0
// Ages: how long ago each stored page was last read or written, in the three bits that a slot word
// has for it, so that an access costs nothing: a write makes a new word, a read writes the word
// anyway when it gives its lock back, and both leave age 0 there.
//
// A thread looks through all words once a minute and adds 1 to those whose turn it is: of age 0
// each minute, of age n where the minutes since boot pass a multiple of 12^n. So a page of age n
// has been left alone for 12^(n-2) minutes at least, since it was there with age n - 1 when the
// last multiple of 12^(n-2) was passed, or before; and has reached age n after the sum of 1, 12,
// ... 12^(n-1) minutes at the latest. Minutes in which the machine is suspended do not count.
//
// A page that is marked idle has neither; the mark goes with the next access.
//
// Thread safety: mark_idle() from any thread; start(), begin() and the destructor once. Nothing is
// allocated after start(). No word is locked: one that somebody else changes is left to them.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <thread>

#include "base/result.h"
#include "store/doorbell.h"
#include "store/slot_table.h"

namespace pleat::store {

// The lowest age of which all pages were left alone for so long; none above kAgeSecondsMax.
std::optional<unsigned> age_after(std::uint64_t seconds);
inline constexpr std::uint64_t kAgeSecondsMax = std::uint64_t{60} * 12 * 12 * 12;

class Ager {
 public:
  explicit Ager(const SlotTable& slots) : slots_(slots) {}
  ~Ager();
  Ager(const Ager&) = delete;
  Ager& operator=(const Ager&) = delete;

  // Starts the thread, which waits for begin(). EPERM where `io_flusher` cannot be set.
  Result<void> start(bool io_flusher);
  // The slot table is this process's from now on.
  void begin() noexcept;

  // Ends the thread.
  void end() noexcept;

  // Marks all pages of this age and above as idle; how many are idle now.
  std::uint64_t mark_idle(unsigned age) noexcept;

  // What the thread does, for tests: makes the pages older by what passes between two minutes.
  void advance(std::uint64_t from_minute, std::uint64_t to_minute) noexcept;

 private:
  void run() noexcept;
  bool stopping() const noexcept { return stop_.load(std::memory_order_relaxed); }

  const SlotTable slots_;
  Doorbell bell_;
  std::atomic<bool> begun_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace pleat::store
