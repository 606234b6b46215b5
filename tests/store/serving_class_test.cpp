// SPDX-License-Identifier: MIT OR Apache-2.0
// The classes that serve while little is stored: fewer at each level, large enough, and not far too
// large.
#include "store/serving_class.h"

#include <gtest/gtest.h>

namespace pleat::store {
namespace {

bool serves(unsigned level, std::size_t size_class) {
  return kServingClasses.instead_of[level][size_class] == size_class;
}

TEST(ServingClass, AllClassesServeWhereMuchIsStored) {
  for (std::size_t i = 0; i < kSizeClasses.count; ++i) EXPECT_TRUE(serves(0, i)) << i;
}

TEST(ServingClass, FewerServeAtEachLevelAndAllOfTheseAtTheOneBelow) {
  for (unsigned level = 1; level < kLevels; ++level) {
    std::size_t count = 0;
    std::size_t below = 0;
    for (std::size_t i = 0; i < kSizeClasses.count; ++i) {
      count += serves(level, i) ? 1 : 0;
      below += serves(level - 1, i) ? 1 : 0;
      if (serves(level, i)) {
        EXPECT_TRUE(serves(level - 1, i)) << level << ", " << i;
      }
    }
    EXPECT_LT(count, below) << level;
  }
}

TEST(ServingClass, IsLargeEnoughAndAtMostAQuarterTooLargeAndOfTheSameBand) {
  for (unsigned level = 0; level < kLevels; ++level) {
    for (std::size_t bytes = kObjectBytesMin; bytes <= kObjectBytesMax; bytes += kGranule) {
      const unsigned own = size_class_of(bytes);
      const unsigned serving = kServingClasses.instead_of[level][own];
      ASSERT_TRUE(serves(level, serving));
      ASSERT_GE(serving, own);
      ASSERT_EQ(kServingClasses.band_of[serving], kServingClasses.band_of[own]);
      // Objects of one page stay with those, whose spans' ends are made for them.
      ASSERT_EQ(serving < kPageSizeClasses.count, own < kPageSizeClasses.count);
      if (serving != own) {
        ASSERT_LE(kSizeClasses.classes[serving].bytes, bytes + bytes / kOversizeShare);
      }
    }
  }
}

// What objects lose that are too small for their class and by ends of spans, and one in `part` of
// each class's last span, as a share of what level `level` is made for: all sizes of one page
// equally frequent, 400,000 >> level of them.
double lost_share(unsigned level, unsigned classes_of_level, unsigned part) {
  double stored = 0;
  double taken = 0;
  for (std::size_t size = kPageSizes.below + 1; size <= kPageSizes.last; ++size) {
    const unsigned serving =
        kServingClasses.instead_of[classes_of_level][size_class_of(size * kGranule)];
    const SizeClass& sizes = kSizeClasses.classes[serving];
    const double objects = static_cast<double>(kPageSizes.objects_of_size) / (1u << level);
    stored += objects * static_cast<double>(size * kGranule);
    taken += objects * sizes.pages * static_cast<double>(kPageSize) / sizes.objects;
  }
  for (std::size_t i = 0; i < kPageSizeClasses.count; ++i) {
    if (serves(classes_of_level, i)) taken += kSizeClasses.classes[i].pages * 4096.0 / part;
  }
  return 1 - stored / taken;
}

TEST(ServingClass, EachLevelLosesLeastWhereItServes) {
  for (unsigned level = 0; level < kLevels; ++level) {
    for (unsigned other = 0; other < kLevels; ++other) {
      if (other == level) continue;
      EXPECT_LT(lost_share(level, level, kLostOfLastSpan),
                lost_share(level, other, kLostOfLastSpan))
          << level << ", " << other;
    }
  }
  // Half of the last spans is what is lost before any compaction: of 46 MB, and of 11.
  EXPECT_LT(lost_share(4, 4, 2), 0.035);
  EXPECT_GT(lost_share(4, 0, 2), 0.07);
  EXPECT_LT(lost_share(6, 6, 2), 0.06);
  EXPECT_GT(lost_share(6, 0, 2), 0.2);
}

TEST(ServingClass, TheLevelFallsAsABandGrows) {
  for (std::size_t band = 0; band < ServingClasses::kBands; ++band) {
    const std::uint64_t full = kServingClasses.pages_of_band[band];
    EXPECT_EQ(level_for(band, full), 0u);
    EXPECT_EQ(level_for(band, UINT64_MAX), 0u);
    EXPECT_LT(level_for(band, 0), kLevels);
    for (unsigned level = 1; level < kLevels && full >> level >= 16; ++level) {
      EXPECT_EQ(level_for(band, full >> level), level);
    }
  }
}

}  // namespace
}  // namespace pleat::store
