// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace pleat {
namespace {

TEST(Histogram, EveryValueLiesInItsBucketAndBucketsAreNarrow) {
  std::uint64_t begin = 0;
  for (std::size_t bucket = 0; bucket < Histogram::kBuckets; ++bucket) {
    const std::uint64_t end = Histogram::bucket_end(bucket);
    ASSERT_EQ(Histogram::bucket_of(begin), bucket);
    ASSERT_EQ(Histogram::bucket_of(end), bucket);
    ASSERT_LE(end - begin, begin / 8) << bucket;
    begin = end + 1;
  }
  EXPECT_EQ(begin, std::uint64_t{1} << Histogram::kValueBits);
  EXPECT_EQ(Histogram::bucket_of(~0ull), Histogram::kBuckets - 1);
}

TEST(Histogram, QuantilesAreWithinAnEighthOfTheExactOnes) {
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> values;
  Histogram histogram;
  for (int i = 0; i < 10'000; ++i) {
    values.push_back(random() >> (24 + random() % 40));
    histogram.record(values.back());
  }
  std::sort(values.begin(), values.end());
  EXPECT_EQ(histogram.count(), values.size());
  for (const double fraction : {0.001, 0.5, 0.9, 0.99, 1.0}) {
    const auto rank = static_cast<std::size_t>(fraction * static_cast<double>(values.size()));
    const std::uint64_t exact = values[rank - 1];
    EXPECT_GE(histogram.quantile(fraction), exact);
    EXPECT_LE(histogram.quantile(fraction), exact + exact / 8 + 1);
  }
}

TEST(Histogram, AnEmptyOneHasNoQuantile) { EXPECT_EQ(Histogram().quantile(0.99), 0u); }

TEST(Histogram, AddsUp) {
  Histogram one;
  Histogram two;
  one.record(5);
  two.record(5);
  two.record(100);
  one.add(two);
  EXPECT_EQ(one.count(), 3u);
  EXPECT_EQ(one.total(), 110u);
  EXPECT_EQ(one.count_in(Histogram::bucket_of(5)), 2u);
  EXPECT_EQ(one.count_in(Histogram::bucket_of(100)), 1u);
  EXPECT_EQ(one.quantile(0.5), 5u);
}

}  // namespace
}  // namespace pleat
