// SPDX-License-Identifier: MIT OR Apache-2.0
// Size classes: which objects share a span, and of how many pages that span is. All of it is worked
// out at compile time.
//
// A span of k pages holds objects of one size. Its end wastes what is too short for an object, each
// object the difference to its class's size, and each class a part of its last span, which is not
// full. Of the first two the more classes and the larger spans waste less, of the third more. The
// table is the one for which the sum is least where all sizes are equally frequent.
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
inline constexpr std::size_t kObjectBytesMax = object_bytes(kCompressedBytesMax);
// No class is smaller, as hardly a page is.
inline constexpr std::size_t kObjectBytesMin = 16;

struct SizeClass {
  std::uint16_t bytes = 0;    // of an object, a multiple of kGranule
  std::uint16_t objects = 0;  // in a span
  std::uint8_t pages = 0;     // of a span
};

constexpr unsigned objects_in_span(std::size_t bytes, unsigned pages) {
  return static_cast<unsigned>((pages * kPageSize - kSpanHeaderBytes) / bytes);
}

static_assert(kObjectBytesMax == 3640);
static_assert(objects_in_span(kObjectBytesMax, kSpanPagesMax) == 18);
static_assert(objects_in_span(kObjectBytesMax + kGranule, kSpanPagesMax) == 17);

struct SizeClassTable {
  static constexpr std::size_t kSizes = kObjectBytesMax / kGranule;
  std::array<SizeClass, kSizes> classes{};
  std::size_t count = 0;
  // By (bytes / kGranule - 1).
  std::array<std::uint8_t, kSizes> class_of_size{};
};

// The cheapest way from the smallest size to the largest, a class a step, by dynamic programming.
constexpr SizeClassTable make_size_classes() {
  // The cost is bytes of pool where there are so many objects of each size, 400,000 in all, and of
  // the last span of each class a quarter is lost: it is half full, and compaction finds others'
  // objects for half of what is free.
  constexpr std::int64_t kObjectsOfSize = 440;
  constexpr unsigned kLostOfLastSpan = 4;
  // How many sizes a class has at most.
  constexpr std::size_t kSizesMax = 24;
  constexpr std::size_t kFirst = kObjectBytesMin / kGranule - 1;
  constexpr std::size_t kLast = SizeClassTable::kSizes;

  // Of all classes up to one whose largest size is so many granules. Plain arrays, as evaluation at
  // compile time has a limit of steps.
  std::int64_t cost[kLast + 1]{};
  std::size_t below[kLast + 1]{};  // the largest size of the class before, in granules
  SizeClass best[kLast + 1]{};
  for (std::size_t size = kFirst + 1; size <= kLast; ++size) {
    const std::size_t lowest = size > kFirst + kSizesMax ? size - kSizesMax : kFirst;
    cost[size] = INT64_MAX;
    std::int64_t least_of_size = INT64_MAX;
    for (unsigned pages = 1; pages <= kSpanPagesMax; ++pages) {
      const unsigned objects = objects_in_span(size * kGranule, pages);
      if (objects == 0) continue;
      const std::int64_t span = std::int64_t{pages} * std::int64_t{kPageSize};
      const std::int64_t of_size = span * kObjectsOfSize / objects;
      // A larger span that wastes no less is no choice.
      if (of_size >= least_of_size) continue;
      least_of_size = of_size;
      std::int64_t least = INT64_MAX;
      std::size_t from = 0;
      for (std::size_t i = lowest; i < size; ++i) {
        const std::int64_t sum = cost[i] - static_cast<std::int64_t>(i) * of_size;
        if (sum < least) {
          least = sum;
          from = i;
        }
      }
      least += static_cast<std::int64_t>(size) * of_size + span / kLostOfLastSpan;
      if (least < cost[size]) {
        cost[size] = least;
        below[size] = from;
        best[size] = {static_cast<std::uint16_t>(size * kGranule),
                      static_cast<std::uint16_t>(objects), static_cast<std::uint8_t>(pages)};
      }
    }
  }

  SizeClassTable table;
  for (std::size_t size = kLast; size != kFirst; size = below[size]) ++table.count;
  std::size_t index = table.count;
  for (std::size_t size = kLast; size != kFirst; size = below[size]) {
    table.classes[--index] = best[size];
    for (std::size_t i = index == 0 ? 0 : below[size]; i < size; ++i) {
      table.class_of_size[i] = static_cast<std::uint8_t>(index);
    }
  }
  return table;
}

inline constexpr SizeClassTable kSizeClasses = make_size_classes();
static_assert(kSizeClasses.count <= 256);

// Precondition: bytes is a multiple of kGranule, at most kObjectBytesMax.
constexpr unsigned size_class_of(std::size_t bytes) {
  return kSizeClasses.class_of_size[bytes / kGranule - 1];
}

}  // namespace pleat::store
