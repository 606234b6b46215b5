// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/sample_stats.h"

#include <gtest/gtest.h>

namespace pleat {
namespace {

TEST(Quantile, IsTheSampleOfThatRank) {
  std::vector<int> samples;
  for (int i = 100; i >= 1; --i) samples.push_back(i);
  EXPECT_EQ(quantile(samples, 0.5), 50);
  EXPECT_EQ(quantile(samples, 0.99), 99);
  EXPECT_EQ(quantile(samples, 0.999), 100);
  EXPECT_EQ(quantile(samples, 0.0001), 1);
  std::vector<int> none;
  EXPECT_EQ(quantile(none, 0.5), 0);
}

TEST(Median, OfAnEvenCountIsTheLowerOne) {
  EXPECT_EQ(median(std::vector<int>{4, 1, 3, 2}), 2);
  EXPECT_EQ(median(std::vector<int>{9, 1, 5}), 5);
}

TEST(GeometricMean, IsTheRootOfTheProduct) {
  EXPECT_DOUBLE_EQ(geometric_mean({1, 8, 1}), 2);
  EXPECT_EQ(geometric_mean({}), 0);
  EXPECT_EQ(geometric_mean({1, 0}), 0);
}

}  // namespace
}  // namespace pleat
