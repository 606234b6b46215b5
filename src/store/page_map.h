// SPDX-License-Identifier: MIT OR Apache-2.0
// The page map: 16 bits a pool page that lead from an object to its span, or complete the check of
// a raw page.
//
//   bit 15 set:   a raw page; bits 0-14 are the part of its check that the slot word lacks room for
//   bit 15 clear: a page of a span; bits 0-8 size class, 9-12 distance in pages to the span's
//                 start, 13 (of the first page) the span's header is not to be believed
//                 (store/pool.h)
//
// Thread safety: an entry is written by who has just allocated its page and read by who owns an
// object in it, or a raw page, which the slot word's publication puts in order. Who reads another's
// sees an entry that was there, and may not believe it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "store/size_class.h"
#include "store/slot_word.h"

namespace pleat::store {

class PageMapEntry {
 public:
  constexpr PageMapEntry() = default;
  static constexpr PageMapEntry of_span(unsigned size_class, unsigned distance) {
    return PageMapEntry(static_cast<std::uint16_t>(size_class | distance << kDistanceShift));
  }
  static constexpr PageMapEntry of_raw(std::uint64_t check) {
    return PageMapEntry(
        static_cast<std::uint16_t>(kRaw | (check >> SlotWord::kRawCheckBits & (kRaw - 1))));
  }

  constexpr PageMapEntry with_unknown(bool unknown) const {
    const std::uint16_t bits = bits_ & static_cast<std::uint16_t>(~kUnknown);
    return PageMapEntry(static_cast<std::uint16_t>(unknown ? bits | kUnknown : bits));
  }

  constexpr bool raw() const { return (bits_ & kRaw) != 0; }
  // Never a raw page, whose check has that bit too.
  constexpr bool unknown() const { return (bits_ & (kRaw | kUnknown)) == kUnknown; }
  constexpr unsigned size_class() const { return bits_ & kClassMask; }
  constexpr unsigned distance() const { return bits_ >> kDistanceShift & 0xF; }
  constexpr bool operator==(const PageMapEntry&) const = default;

 private:
  static constexpr std::uint16_t kRaw = 1u << 15;
  static constexpr std::uint16_t kUnknown = 1u << 13;
  static constexpr unsigned kDistanceShift = 9;
  static constexpr unsigned kClassMask = (1u << kDistanceShift) - 1;
  static_assert(kSpanPagesMax <= 16 && kSizeClasses.count <= kClassMask + 1);

  explicit constexpr PageMapEntry(std::uint16_t bits) : bits_(bits) {}
  std::uint16_t bits_ = 0;
};

// An entry in the memory that threads share.
class PageMapCell {
 public:
  PageMapEntry load() const noexcept { return entry_.load(std::memory_order_relaxed); }
  void store(PageMapEntry entry) noexcept { entry_.store(entry, std::memory_order_relaxed); }

 private:
  std::atomic<PageMapEntry> entry_;
};
static_assert(sizeof(PageMapCell) == 2 && std::atomic<PageMapEntry>::is_always_lock_free);

}  // namespace pleat::store
