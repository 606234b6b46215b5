// SPDX-License-Identifier: MIT OR Apache-2.0
// Which size classes serve while little is stored. All of it is worked out at compile time.
//
// The table of size classes is made for many objects. Where there are few, the last spans of all
// classes weigh more than what objects lose in a class that is too large for them. So fewer classes
// serve then: at level n those that lose least where there are 2^n times fewer objects. Those of a
// level serve at all lower ones too, so that few spans are left behind between two levels. An
// object is found by its span's class, so one may be in any class that is large enough.
//
// Classes that one of the highest level serves for are a band. Each band has a level of its own,
// since the objects of a store may be of few sizes.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/page.h"
#include "store/object.h"
#include "store/size_class.h"

namespace pleat::store {

inline constexpr unsigned kLevels = 10;
// A class serves only objects that it is at most one part in so many too large for, as sizes may be
// far from equally frequent.
inline constexpr std::size_t kOversizeShare = 4;

struct ServingSet {
  // Plain, as evaluation at compile time has a limit of steps.
  bool serves[kSizeClasses.count]{};

  constexpr std::size_t first(std::size_t from, std::size_t end) const {
    while (from < end && !serves[from]) ++from;
    return from;
  }
};

// Bytes of pool for an object.
constexpr std::int64_t span_bytes_of_object(const SizeClass& sizes) {
  return std::int64_t{sizes.pages} * std::int64_t{kPageSize} / sizes.objects;
}

// Leaves out classes of begin to end - 1, those that save most first, as long as that saves memory.
constexpr void leave_out_classes(ServingSet& set, std::size_t begin, std::size_t end,
                                 const SizeRange& range, unsigned level) {
  while (true) {
    std::int64_t most_saved = 0;
    std::size_t found = end;
    std::size_t below = range.below * kGranule;
    std::size_t one = set.first(begin, end);
    for (std::size_t next = 0; (next = set.first(one + 1, end)) < end; one = next) {
      const SizeClass& sizes = kSizeClasses.classes[one];
      const SizeClass& larger = kSizeClasses.classes[next];
      const std::size_t smallest = below + kGranule;
      const auto objects =
          static_cast<std::int64_t>((sizes.bytes - below) / kGranule) * range.objects_of_size;
      const std::int64_t lost =
          objects * (span_bytes_of_object(larger) - span_bytes_of_object(sizes));
      const std::int64_t last_span =
          std::int64_t{sizes.pages} * std::int64_t{kPageSize} / kLostOfLastSpan;
      const std::int64_t saved = (last_span << level) - lost;
      if (saved > most_saved && larger.bytes <= smallest + smallest / kOversizeShare) {
        most_saved = saved;
        found = one;
      }
      below = sizes.bytes;
    }
    if (found == end) return;
    set.serves[found] = false;
  }
}

template <unsigned kLevel>
constexpr ServingSet make_serving_set();

// Each is worked out by itself, within the limit of steps.
template <unsigned kLevel>
inline constexpr ServingSet kServingSet = make_serving_set<kLevel>();

template <unsigned kLevel>
constexpr ServingSet make_serving_set() {
  ServingSet set;
  if constexpr (kLevel == 0) {
    for (bool& serves : set.serves) serves = true;
  } else {
    set = kServingSet<kLevel - 1>;
    leave_out_classes(set, 0, kPageSizeClasses.count, kPageSizes, kLevel);
    leave_out_classes(set, kPageSizeClasses.count, kSizeClasses.count, kGroupSizes, kLevel);
  }
  return set;
}

constexpr std::size_t count_bands() {
  std::size_t count = 0;
  for (const bool serves : kServingSet<kLevels - 1>.serves) count += serves ? 1 : 0;
  return count;
}

struct ServingClasses {
  static constexpr std::size_t kBands = count_bands();
  // By level and class.
  std::array<std::array<std::uint16_t, kSizeClasses.count>, kLevels> instead_of{};
  std::array<std::uint8_t, kSizeClasses.count> band_of{};
  // What the spans of each band have where there are as many objects as level 0 is for.
  std::array<std::uint64_t, kBands> pages_of_band{};
};
static_assert(ServingClasses::kBands <= 256);

template <unsigned kLevel>
constexpr void add_levels(ServingClasses& made) {
  std::size_t instead = kSizeClasses.count - 1;
  for (std::size_t i = kSizeClasses.count; i-- != 0;) {
    if (kServingSet<kLevel>.serves[i]) instead = i;
    made.instead_of[kLevel][i] = static_cast<std::uint16_t>(instead);
  }
  if constexpr (kLevel + 1 < kLevels) add_levels<kLevel + 1>(made);
}

constexpr ServingClasses make_serving_classes() {
  ServingClasses made;
  add_levels<0>(made);
  std::size_t band = 0;
  std::size_t below = kPageSizes.below * kGranule;
  for (std::size_t i = 0; i < kSizeClasses.count; ++i) {
    const SizeClass& sizes = kSizeClasses.classes[i];
    const SizeRange& range = i < kPageSizeClasses.count ? kPageSizes : kGroupSizes;
    const auto steps = static_cast<std::int64_t>((sizes.bytes - below) / kGranule);
    made.band_of[i] = static_cast<std::uint8_t>(band);
    made.pages_of_band[band] +=
        static_cast<std::uint64_t>(steps * range.objects_of_size * sizes.pages / sizes.objects);
    if (made.instead_of[kLevels - 1][i] == i) ++band;
    below = sizes.bytes;
  }
  return made;
}

inline constexpr ServingClasses kServingClasses = make_serving_classes();

// The level that is nearest for a band whose spans have so many pages.
constexpr unsigned level_for(std::size_t band, std::uint64_t pages) {
  // Half as much again, so that a level reaches as far up as down, nearly.
  const std::uint64_t full = kServingClasses.pages_of_band[band];
  const auto width =
      static_cast<unsigned>(std::bit_width(full / std::max<std::uint64_t>(pages, 1)));
  return std::clamp(width, 1u, kLevels) - 1;
}

}  // namespace pleat::store
