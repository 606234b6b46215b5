// SPDX-License-Identifier: MIT OR Apache-2.0
// Size classes: which objects share a span, and of how many pages that span is. All of it is worked
// out at compile time.
//
// A span of k pages holds objects of one size. What its end wastes falls with k, while the
// half-empty spans of a class cost the more the larger k is; the choice minimises the sum. Sizes
// that lead to the same k and the same number of objects share one class, the largest of them,
// since smaller steps would save nothing and make more half-empty spans.
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
inline constexpr std::size_t kCompressedBytesMax = 3624;
inline constexpr std::size_t kObjectBytesMax = object_bytes(kCompressedBytesMax);

struct SizeClass {
  std::uint16_t bytes = 0;    // of an object, a multiple of kGranule
  std::uint16_t objects = 0;  // in a span
  std::uint8_t pages = 0;     // of a span
};

constexpr unsigned objects_in_span(std::size_t bytes, unsigned pages) {
  return static_cast<unsigned>((pages * kPageSize - kSpanHeaderBytes) / bytes);
}

static_assert(kObjectBytesMax == 3632);
static_assert(objects_in_span(kObjectBytesMax, kSpanPagesMax) == 18);
static_assert(objects_in_span(kObjectBytesMax + kGranule, kSpanPagesMax) == 17);

// The best span for objects of `bytes`.
constexpr SizeClass best_span(std::size_t bytes) {
  // Waste is counted in hundred-thousandths of the span; a further page of span costs as much as
  // kPageCost of them.
  constexpr std::size_t kPageCost = 150;
  SizeClass best;
  std::size_t best_cost = SIZE_MAX;
  for (unsigned pages = 1; pages <= kSpanPagesMax; ++pages) {
    const unsigned objects = objects_in_span(bytes, pages);
    if (objects == 0) continue;
    const std::size_t span = pages * kPageSize;
    const std::size_t cost = (span - objects * bytes) * 100'000 / span + pages * kPageCost;
    if (cost < best_cost) {
      best_cost = cost;
      best = {static_cast<std::uint16_t>(bytes), static_cast<std::uint16_t>(objects),
              static_cast<std::uint8_t>(pages)};
    }
  }
  return best;
}

struct SizeClassTable {
  static constexpr std::size_t kSizes = kObjectBytesMax / kGranule;
  std::array<SizeClass, kSizes> classes{};
  std::size_t count = 0;
  // By (bytes / kGranule - 1).
  std::array<std::uint8_t, kSizes> class_of_size{};
};

constexpr SizeClassTable make_size_classes() {
  SizeClassTable table;
  std::array<SizeClass, SizeClassTable::kSizes> wanted{};
  for (std::size_t i = SizeClassTable::kSizes; i-- > 0;) {
    wanted[i] = best_span((i + 1) * kGranule);
    const bool merges = i + 1 < SizeClassTable::kSizes && wanted[i].pages == wanted[i + 1].pages &&
                        wanted[i].objects == wanted[i + 1].objects;
    if (merges) wanted[i] = wanted[i + 1];
  }
  for (std::size_t i = 0; i < SizeClassTable::kSizes; ++i) {
    if (table.count == 0 || table.classes[table.count - 1].bytes != wanted[i].bytes) {
      table.classes[table.count++] = wanted[i];
    }
    table.class_of_size[i] = static_cast<std::uint8_t>(table.count - 1);
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
