// SPDX-License-Identifier: MIT OR Apache-2.0
// The table of size classes: each size has a class that holds it, and no span wastes much.
#include "store/size_class.h"

#include <gtest/gtest.h>

namespace pleat::store {
namespace {

TEST(SizeClass, EverySizeFitsInItsClassAndInNoSmallerOne) {
  for (std::size_t bytes = kObjectBytesMin; bytes <= kObjectBytesMax; bytes += kGranule) {
    const unsigned index = size_class_of(bytes);
    ASSERT_LT(index, kSizeClasses.count);
    EXPECT_GE(kSizeClasses.classes[index].bytes, bytes);
    if (index > 0) {
      EXPECT_LT(kSizeClasses.classes[index - 1].bytes, bytes);
    }
  }
}

TEST(SizeClass, ObjectsLieInTheirSpanAndOnGranules) {
  for (std::size_t index = 0; index < kSizeClasses.count; ++index) {
    const SizeClass& size_class = kSizeClasses.classes[index];
    EXPECT_EQ(size_class.bytes % kGranule, 0u);
    EXPECT_GE(size_class.pages, 1u);
    EXPECT_LE(size_class.pages, kSpanPagesMax);
    EXPECT_LE(kSpanHeaderBytes + size_class.objects * size_class.bytes,
              size_class.pages * kPageSize);
    // Positions in a span are 16 bits of granules.
    EXPECT_LT(size_class.pages * kGranulesPerPage, 65536u);
  }
}

// Waste by sizes that are smaller than their class, and by ends of spans.
struct Waste {
  double worst = 0;
  double mean = 0;
};
Waste waste_of(const SizeRange& range) {
  Waste waste;
  for (std::size_t size = range.below + 1; size <= range.last; ++size) {
    const SizeClass& size_class = kSizeClasses.classes[size_class_of(size * kGranule)];
    const auto span = static_cast<double>(size_class.pages * kPageSize);
    const double lost = 1 - static_cast<double>(size_class.objects * size * kGranule) / span;
    waste.worst = std::max(waste.worst, lost);
    waste.mean += lost / static_cast<double>(range.last - range.below);
  }
  return waste;
}

TEST(SizeClass, SpansAndSharedClassesWasteLittle) {
  const Waste of_pages = waste_of(kPageSizes);
  EXPECT_LT(of_pages.worst, 0.05);
  EXPECT_LT(of_pages.mean, 0.0075);
  const Waste of_groups = waste_of(kGroupSizes);
  EXPECT_LT(of_groups.worst, 0.07);
  EXPECT_LT(of_groups.mean, 0.021);
}

// By the cost that the classes were chosen by: they are a minimum among their neighbours.
void expect_no_class_too_many(const SizeClasses& made, const SizeRange& range) {
  const auto of_objects = [&range](const SizeClass& sizes, std::size_t below) {
    return static_cast<double>(range.objects_of_size) *
           static_cast<double>((sizes.bytes - below) / kGranule) *
           static_cast<double>(sizes.pages * kPageSize) / sizes.objects;
  };
  for (std::size_t i = 0; i + 1 < made.count; ++i) {
    const SizeClass& one = made.classes[i];
    const SizeClass& next = made.classes[i + 1];
    const std::size_t below = i == 0 ? range.below * kGranule : made.classes[i - 1].bytes;
    const double with = of_objects(one, below) + of_objects(next, one.bytes) +
                        static_cast<double>(one.pages * kPageSize) / 4;
    EXPECT_LE(with, of_objects(next, below) + 64) << one.bytes;
  }
}

TEST(SizeClass, LeavingOutOneClassLosesMore) {
  expect_no_class_too_many(kPageSizeClasses, kPageSizes);
  expect_no_class_too_many(kGroupSizeClasses, kGroupSizes);
}

TEST(SizeClass, LargestCompressedPageSavesANinthAndLargestGroupAFifth) {
  const SizeClass& page = kSizeClasses.classes[size_class_of(kPageObjectBytesMax)];
  EXPECT_GE(page.objects * 8, page.pages * 9);
  const SizeClass& group = kSizeClasses.classes[size_class_of(kObjectBytesMax)];
  EXPECT_GE(group.objects * 4 * 4, group.pages * 5);
}

}  // namespace
}  // namespace pleat::store
