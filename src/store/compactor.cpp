// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/compactor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "store/background_thread.h"
#include "store/group.h"
#include "store/object.h"
#include "store/size_class.h"
#include "store/slot_lock.h"
#include "store/slot_word.h"

namespace pleat::store {
namespace {

// How long it works at a time, a few writes' time, and how many times as long it rests then: in the
// background, and where somebody waits for it. A rest that lasts longer, since timers are coarse or
// others have the processor, is made up for by a longer stretch; else hardly anything would be
// moved there.
constexpr std::uint64_t kStretch_ns = 50'000;
constexpr std::uint64_t kStretchMost_ns = 2'000'000;
constexpr std::uint64_t kRestInBackground = 4;
constexpr std::uint64_t kRestWhenAsked = 1;
// Between two rounds, so that a store at its limit does not look through its classes at each write
// that fails.
constexpr std::uint64_t kPause_ns = 2'000'000;
// How much larger than its own class the one that an object goes to is at most: a third. That much
// it loses, where there is no nearer place; a span that it helps to empty is worth more.
constexpr std::size_t kLargerShare = 3;
// How many spans of a class are emptied into larger ones in a round.
constexpr int kSpansAcross = 16;
// How often a span is gone through: who holds a word's lock is through with it in a microsecond.
constexpr int kPasses = 2;
// Rounds over all classes where all is to be freed. What a round frees falls quickly.
constexpr int kRoundsMax = 4;

// Of who waits for the thread.
constexpr std::uint64_t kNap_ns = 200'000;

void sleep_ns(std::uint64_t duration_ns) noexcept {
  const timespec duration{static_cast<std::time_t>(duration_ns / 1'000'000'000),
                          static_cast<long>(duration_ns % 1'000'000'000)};
  nanosleep(&duration, nullptr);
}

// How many classes higher than its own that is.
unsigned reach_of(unsigned size_class) noexcept {
  const std::size_t bytes = kSizeClasses.classes[size_class].bytes;
  unsigned reach = 0;
  while (size_class + reach + 1 < kSizeClasses.count &&
         kSizeClasses.classes[size_class + reach + 1].bytes <= bytes + bytes / kLargerShare) {
    ++reach;
  }
  return reach;
}

}  // namespace

Compactor::Compactor(const SlotTable& slots, Pool& pool, Doorbell& bell, Counters::Count& freed)
    : slots_(slots), pool_(pool), bell_(bell), freed_(freed) {}

Compactor::~Compactor() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  bell_.ring();
  thread_.join();
}

Result<void> Compactor::start(bool io_flusher, std::uint64_t quiet_ns) {
  auto started = start_background_thread("pleat-compact", io_flusher, [=, this] { run(quiet_ns); });
  if (!started) return std::move(started).error();
  thread_ = *std::move(started);
  return {};
}

std::uint64_t Compactor::compact() noexcept {
  const std::uint64_t before = freed_pages();
  const std::uint64_t mine = asked_.fetch_add(1, std::memory_order_acq_rel) + 1;
  bell_.ring();
  while (answered_.load(std::memory_order_acquire) < mine) sleep_ns(kNap_ns);
  return freed_pages() - before;
}

bool Compactor::settle(std::uint64_t deadline_ns) const noexcept {
  while (bell_.is_rung() || working_.load(std::memory_order_acquire)) {
    if (monotonic_ns() >= deadline_ns) return false;
    sleep_ns(kNap_ns);
  }
  return true;
}

void Compactor::run(std::uint64_t quiet_ns) noexcept {
  while (true) {
    bell_.stand_by(quiet_ns);
    working_.store(true, std::memory_order_release);
    const bool rung = bell_.take();
    if (stop_.load(std::memory_order_acquire)) return;
    const std::uint64_t asked = asked_.load(std::memory_order_acquire);
    if (asked != answered_.load(std::memory_order_relaxed)) {
      rest_per_work_ = kRestWhenAsked;
      compact_across_classes();
    } else {
      rest_per_work_ = kRestInBackground;
      if (rung) {
        compact_within_classes(pool_.take_refused() ? 0 : pool_.surplus_limit() / 2);
      } else {
        compact_across_classes();
      }
    }
    working_.store(false, std::memory_order_release);
    answered_.store(asked, std::memory_order_release);
    if (rest_per_work_ == kRestInBackground) sleep_ns(kPause_ns);
  }
}

void Compactor::compact_within_classes(std::uint64_t surplus) noexcept {
  resumed_ns_ = monotonic_ns();
  // No more than there was at the beginning: writers may make more of it all the time.
  const std::uint64_t end = freed_pages() + pool_.surplus_pages();
  for (bool freed = true; freed && pool_.surplus_pages() > surplus && freed_pages() < end;) {
    freed = false;
    for (unsigned i = 0; i < kSizeClasses.count && !stopping(); ++i) {
      freed |= drain(i, 0) != 0;
      rest();
    }
  }
  // Nothing new comes to a class that does not serve any more.
  for (unsigned i = 0; i < kSizeClasses.count && !stopping(); ++i) {
    if (const unsigned serving = pool_.serving_class(i); serving != i) {
      empty_into_larger(i, serving - i);
    }
  }
}

void Compactor::compact_across_classes() noexcept {
  for (int round = 0; round < kRoundsMax && !stopping(); ++round) {
    const std::uint64_t before = freed_pages();
    compact_within_classes(0);
    for (unsigned i = 0; i < kSizeClasses.count && !stopping(); ++i) {
      empty_into_larger(i, reach_of(i));
    }
    if (freed_pages() == before) return;
  }
}

void Compactor::empty_into_larger(unsigned size_class, unsigned reach) noexcept {
  for (int span = 0; span < kSpansAcross && drain(size_class, reach) != 0 && !stopping(); ++span) {
    rest();
  }
}

unsigned Compactor::drain(unsigned size_class, unsigned reach) noexcept {
  // Most have no span, or none with room.
  if (pool_.free_objects(size_class) == 0) return 0;
  std::uint64_t room = 0;
  for (unsigned i = 1; i <= reach && size_class + i < kSizeClasses.count; ++i) {
    room += pool_.free_objects(size_class + i);
  }
  const auto drained = pool_.begin_drain(size_class, room);
  if (!drained) return 0;
  has_worked_ = true;
  const SizeClass& sizes = kSizeClasses.classes[size_class];
  const std::uint64_t begin = (drained->first * kPageSize + kSpanHeaderBytes) / kGranule;
  bool is_full = false;
  bool is_done = false;
  for (int pass = 0; pass < kPasses && !is_full && !is_done; ++pass) {
    is_done = true;
    for (unsigned i = 0; i < sizes.objects && !is_full; ++i) {
      const Move result = move(begin + i * (sizes.bytes / kGranule), size_class, reach);
      is_full = result == Move::kNoRoom;
      is_done = is_done && result == Move::kDone;
    }
  }
  const unsigned freed = pool_.end_drain(*drained);
  Counters::add(freed_, freed);
  return freed;
}

Compactor::Move Compactor::move(std::uint64_t location, unsigned size_class,
                                unsigned reach) noexcept {
  const std::uint32_t slot = first_word(pool_.at(location));
  if (slot >= slots_.size()) return Move::kDone;
  // First, as a member's word may be damaged so that it looks like a page's.
  if (find_members(slots_, slot, location) != 0) {
    return move_group(location, slot, size_class, reach);
  }
  const SlotWord seen(slots_[slot].load(std::memory_order_acquire));
  if (seen.has_object_at(location)) return move_page(location, slot, seen, size_class, reach);
  // Free, or about to be published, or a group that was published just now.
  return Move::kDone;
}

bool Compactor::find_target(std::size_t bytes, unsigned size_class, unsigned reach,
                            std::uint64_t* target) noexcept {
  const unsigned last_class =
      std::min<unsigned>(size_class + reach, static_cast<unsigned>(kSizeClasses.count) - 1);
  for (unsigned i = size_class_of(bytes); i <= last_class; ++i) {
    if (pool_.allocate_free(i, target)) return true;
  }
  return false;
}

Compactor::Move Compactor::move_page(std::uint64_t location, std::uint64_t slot, SlotWord seen,
                                     unsigned size_class, unsigned reach) noexcept {
  if (seen.locked()) return Move::kNotNow;
  const std::size_t bytes = object_bytes(seen.data_bytes());
  // A damaged word's length may be anything.
  if (bytes > kSizeClasses.classes[size_class].bytes) return Move::kDone;
  std::uint64_t target = 0;
  if (!find_target(bytes, size_class, reach, &target)) return Move::kNoRoom;
  std::byte* const object = pool_.at(location);
  std::byte* const copy = pool_.at(target);
  store_first_word(copy, first_word(object));
  std::memcpy(copy + sizeof(ObjectHeader::slot), object + sizeof(ObjectHeader::slot),
              bytes - sizeof(ObjectHeader::slot));
  std::uint64_t expected = seen.bits();
  const bool moved =
      slots_[slot].compare_exchange_strong(expected, seen.moved_to(target).after(seen).bits(),
                                           std::memory_order_acq_rel, std::memory_order_relaxed);
  pool_.free(moved ? location : target);
  return moved ? Move::kDone : Move::kNotNow;
}

Compactor::Move Compactor::move_group(std::uint64_t location, std::uint64_t first,
                                      unsigned size_class, unsigned reach) noexcept {
  std::array<SlotWord, kGroupPages> words{};
  std::size_t bytes = 0;
  unsigned members = 0;
  bool all_locked = true;
  for (std::uint64_t i = 0; i < kGroupPages && first + i < slots_.size(); ++i) {
    const SlotWord seen(slots_[first + i].load(std::memory_order_acquire));
    // One that is locked may be about to become a member.
    if (!seen.locked() && !seen.is_member_at(location)) continue;
    all_locked = !seen.locked() && try_lock(slots_[first + i], seen);
    if (!all_locked) break;
    words[i] = seen;
    members |= member_bit(i);
    // The longest: a damaged word must not cost the others a part of the data.
    bytes = std::max(bytes, sizeof(GroupHeader) + seen.length() * kGranule);
  }
  std::uint64_t target = location;
  Move result = Move::kDone;
  if (!all_locked) {
    result = Move::kNotNow;
  } else if (members != 0 && bytes <= kSizeClasses.classes[size_class].bytes) {
    if (!find_target(bytes, size_class, reach, &target)) result = Move::kNoRoom;
  }
  const bool moves = target != location;
  if (moves) copy_group(pool_.at(target), pool_.at(location), bytes, members);
  for (std::uint64_t i = 0; i < kGroupPages; ++i) {
    if ((members & member_bit(i)) == 0) continue;
    unlock(slots_[first + i], moves ? words[i].moved_to(target).after(words[i]) : words[i]);
  }
  // Who has replaced another member's word and not taken its bit yet frees the object.
  if (moves) pool_.leave_group(location, first, members);
  return result;
}

void Compactor::rest() noexcept {
  // Most classes have nothing to be emptied, and some machines' clock is a system call.
  if (!std::exchange(has_worked_, false)) return;
  const std::uint64_t begin_ns = monotonic_ns();
  const std::uint64_t worked_ns = begin_ns - resumed_ns_;
  if (worked_ns < stretch_ns_) return;
  // What it took longer it waited for a lock or for the processor.
  sleep_ns(std::min(worked_ns, kStretchMost_ns) * rest_per_work_);
  resumed_ns_ = monotonic_ns();
  stretch_ns_ = std::clamp((resumed_ns_ - begin_ns) / rest_per_work_, kStretch_ns, kStretchMost_ns);
}

}  // namespace pleat::store
