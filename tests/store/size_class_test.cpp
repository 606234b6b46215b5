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

TEST(SizeClass, SpansAndSharedClassesWasteLittle) {
  double worst = 0;
  double sum = 0;
  std::size_t sizes = 0;
  for (std::size_t bytes = kObjectBytesMin; bytes <= kObjectBytesMax; bytes += kGranule) {
    const SizeClass& size_class = kSizeClasses.classes[size_class_of(bytes)];
    const auto span = static_cast<double>(size_class.pages * kPageSize);
    const double waste = 1 - static_cast<double>(size_class.objects * bytes) / span;
    worst = std::max(worst, waste);
    sum += waste;
    ++sizes;
  }
  EXPECT_LT(worst, 0.05);
  EXPECT_LT(sum / static_cast<double>(sizes), 0.0075);
}

TEST(SizeClass, LeavingOutOneClassLosesMore) {
  // By the cost that the table was chosen by: it is a minimum among its neighbours.
  const auto of_objects = [](const SizeClass& sizes, std::size_t below) {
    return 440.0 * static_cast<double>((sizes.bytes - below) / kGranule) *
           static_cast<double>(sizes.pages * kPageSize) / sizes.objects;
  };
  for (std::size_t i = 1; i + 1 < kSizeClasses.count; ++i) {
    const SizeClass& one = kSizeClasses.classes[i];
    const SizeClass& next = kSizeClasses.classes[i + 1];
    const std::size_t below = kSizeClasses.classes[i - 1].bytes;
    const double with = of_objects(one, below) + of_objects(next, one.bytes) +
                        static_cast<double>(one.pages * kPageSize) / 4;
    EXPECT_LE(with, of_objects(next, below) + 64) << one.bytes;
  }
}

TEST(SizeClass, LargestCompressedPageSavesANinth) {
  const SizeClass& largest = kSizeClasses.classes[size_class_of(kObjectBytesMax)];
  EXPECT_GE(largest.objects * 8, largest.pages * 9);
}

}  // namespace
}  // namespace pleat::store
