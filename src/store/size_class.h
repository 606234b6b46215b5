// SPDX-License-Identifier: MIT OR Apache-2.0
// Size classes: which objects share a span, and of how many pages that span is. All of it is worked
// out at compile time.
//
// A span of k pages holds objects of one size. Its end wastes what is too short for an object, each
// object the difference to its class's size, and each class a part of its last span, which is not
// full. Of the first two the more classes and the larger spans waste less, of the third more. The
// table is the one for which the sum is least where all sizes are equally frequent: one part of it
// is for objects of one page, the other for those of four pages that are compressed as one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/page.h"
#include "store/object.h"

namespace pleat::store {

inline constexpr unsigned kSpanPagesMax = 16;
inline constexpr std::size_t kSpanHeaderBytes = 16;

// A page that compresses to more than this is stored raw. 18 objects of this size fit in a span of
// 16 pages: a compressed page saves at least a ninth of a page. Above it, 17 fit, and for at most
// 6 % of a page every later read would have to decompress.
inline constexpr std::size_t kCompressedBytesMax = 3632;
inline constexpr std::size_t kPageObjectBytesMax = object_bytes(kCompressedBytesMax);
// No class is smaller, as hardly a page is.
inline constexpr std::size_t kObjectBytesMin = 16;
// The largest object, of four pages that are compressed as one. Five fit in a span of 16 pages, so
// it saves at least a fifth of these; above it, four fit, which saves nothing.
inline constexpr std::size_t kObjectBytesMax = 13104;

struct SizeClass {
  std::uint16_t bytes = 0;    // of an object, a multiple of kGranule
  std::uint16_t objects = 0;  // in a span
  std::uint8_t pages = 0;     // of a span
};

constexpr unsigned objects_in_span(std::size_t bytes, unsigned pages) {
  return static_cast<unsigned>((pages * kPageSize - kSpanHeaderBytes) / bytes);
}

static_assert(kPageObjectBytesMax == 3640);
static_assert(objects_in_span(kPageObjectBytesMax, kSpanPagesMax) == 18);
static_assert(objects_in_span(kPageObjectBytesMax + kGranule, kSpanPagesMax) == 17);
static_assert(objects_in_span(kObjectBytesMax, kSpanPagesMax) == 5);
static_assert(objects_in_span(kObjectBytesMax + kGranule, kSpanPagesMax) == 4);

// Sizes that classes are made for, in granules: those above `below`, up to `last`.
struct SizeRange {
  std::size_t below;
  std::size_t last;
  std::size_t step;  // between sizes that a class may have
  // The cost is bytes of pool where there are so many objects of each size.
  std::int64_t objects_of_size;
  std::size_t steps_max;  // how many of these a class spans at most
};
// 400,000 objects in all.
inline constexpr SizeRange kPageSizes{kObjectBytesMin / kGranule - 1,
                                      kPageObjectBytesMax / kGranule, 1, 440, 24};
// 47,000 groups of pages.
inline constexpr SizeRange kGroupSizes{kPageSizes.last, kObjectBytesMax / kGranule, 8, 20, 48};

struct SizeClasses {
  std::array<SizeClass, kPageSizes.last> classes{};
  std::size_t count = 0;
};

// Of the last span of each class a quarter is lost: it is half full, and compaction finds others'
// objects for half of what is free.
inline constexpr unsigned kLostOfLastSpan = 4;

// The cheapest way from the smallest size to the largest, a class a step, by dynamic programming.
constexpr SizeClasses make_size_classes(const SizeRange& range) {
  // Of all classes up to one whose largest size is the n-th that a class may have. Plain arrays, as
  // evaluation at compile time has a limit of steps.
  constexpr std::size_t kSizesMax = 1024;
  const std::size_t count = (range.last - range.below + range.step - 1) / range.step;
  std::int64_t cost[kSizesMax]{};
  std::int64_t size_at[kSizesMax]{};  // in granules
  std::size_t before[kSizesMax]{};    // the largest size of the class before
  SizeClass best[kSizesMax]{};
  size_at[0] = static_cast<std::int64_t>(range.below);
  for (std::size_t n = 1; n <= count; ++n) {
    const std::size_t size = range.last - (count - n) * range.step;
    size_at[n] = static_cast<std::int64_t>(size);
    const std::size_t lowest = n > range.steps_max ? n - range.steps_max : 0;
    cost[n] = INT64_MAX;
    std::int64_t least_of_size = INT64_MAX;
    for (unsigned pages = 1; pages <= kSpanPagesMax; ++pages) {
      const unsigned objects = objects_in_span(size * kGranule, pages);
      if (objects == 0) continue;
      const std::int64_t span = std::int64_t{pages} * std::int64_t{kPageSize};
      const std::int64_t of_size = span * range.objects_of_size / objects;
      // A larger span that wastes no less is no choice.
      if (of_size >= least_of_size) continue;
      least_of_size = of_size;
      std::int64_t least = INT64_MAX;
      std::size_t from = 0;
      for (std::size_t i = lowest; i < n; ++i) {
        const std::int64_t sum = cost[i] - size_at[i] * of_size;
        if (sum < least) {
          least = sum;
          from = i;
        }
      }
      least += size_at[n] * of_size + span / kLostOfLastSpan;
      if (least < cost[n]) {
        cost[n] = least;
        before[n] = from;
        best[n] = {static_cast<std::uint16_t>(size * kGranule), static_cast<std::uint16_t>(objects),
                   static_cast<std::uint8_t>(pages)};
      }
    }
  }

  SizeClasses made;
  for (std::size_t n = count; n != 0; n = before[n]) ++made.count;
  std::size_t index = made.count;
  for (std::size_t n = count; n != 0; n = before[n]) made.classes[--index] = best[n];
  return made;
}

// Each is worked out by itself, within the limit of steps.
inline constexpr SizeClasses kPageSizeClasses = make_size_classes(kPageSizes);
inline constexpr SizeClasses kGroupSizeClasses = make_size_classes(kGroupSizes);

struct SizeClassTable {
  static constexpr std::size_t kSizes = kObjectBytesMax / kGranule;
  static constexpr std::size_t count = kPageSizeClasses.count + kGroupSizeClasses.count;
  std::array<SizeClass, count> classes{};
  // By (bytes / kGranule - 1).
  std::array<std::uint16_t, kSizes> class_of_size{};
};

constexpr SizeClassTable make_size_class_table() {
  SizeClassTable table;
  std::size_t size = 0;  // granules - 1
  for (std::size_t index = 0; index < SizeClassTable::count; ++index) {
    table.classes[index] = index < kPageSizeClasses.count
                               ? kPageSizeClasses.classes[index]
                               : kGroupSizeClasses.classes[index - kPageSizeClasses.count];
    while (size < table.classes[index].bytes / kGranule) {
      table.class_of_size[size++] = static_cast<std::uint16_t>(index);
    }
  }
  return table;
}

inline constexpr SizeClassTable kSizeClasses = make_size_class_table();
static_assert(kSizeClasses.count <= 512);

// Precondition: bytes is a multiple of kGranule, at most kObjectBytesMax.
constexpr unsigned size_class_of(std::size_t bytes) {
  return kSizeClasses.class_of_size[bytes / kGranule - 1];
}

}  // namespace pleat::store
