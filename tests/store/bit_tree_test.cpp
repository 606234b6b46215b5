// SPDX-License-Identifier: MIT OR Apache-2.0
// The set of numbers against std::set, at sizes around the powers of 64.
#include "store/bit_tree.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace pleat::store {
namespace {

void expect_same(const BitTree& tree, const std::set<std::size_t>& model, std::size_t probe) {
  ASSERT_EQ(tree.contains(probe), model.count(probe) == 1);
  const auto from = model.lower_bound(probe);
  const auto found = tree.first_from(probe);
  ASSERT_EQ(found.has_value(), from != model.end());
  if (found) {
    ASSERT_EQ(*found, *from);
  }
  ASSERT_EQ(tree.first().has_value(), !model.empty());
  ASSERT_EQ(tree.last().has_value(), !model.empty());
  if (model.empty()) return;
  ASSERT_EQ(*tree.first(), *model.begin());
  ASSERT_EQ(*tree.last(), *model.rbegin());
}

class BitTreeSize : public testing::TestWithParam<std::size_t> {};

TEST_P(BitTreeSize, AgreesWithAModelFromEmptyAndFromFull) {
  const std::size_t size = GetParam();
  for (const bool full : {false, true}) {
    BitTree tree(size, full);
    std::set<std::size_t> model;
    for (std::size_t i = 0; full && i < size; ++i) model.insert(model.end(), i);
    std::mt19937_64 random(size + full);
    for (int step = 0; step < 3000; ++step) {
      const std::size_t number = random() % size;
      // Long stretches of mostly adding and mostly removing, so that summaries empty out.
      const bool member = random() % 10 < (step / 500 % 2 == 0 ? 1 : 9);
      ASSERT_EQ(tree.assign(number, member), (model.count(number) == 1) != member);
      if (member) {
        model.insert(number);
      } else {
        model.erase(number);
      }
      expect_same(tree, model, random() % size);
    }
    for (std::size_t i = 0; i < size; ++i) tree.assign(i, false);
    EXPECT_FALSE(tree.first());
    EXPECT_FALSE(tree.last());
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, BitTreeSize,
                         testing::Values(1, 2, 63, 64, 65, 4095, 4096, 4097, 10'000));

TEST(BitTree, NothingIsFoundBehindTheLastMember) {
  BitTree tree(std::size_t{64} * 64 * 64, false);
  tree.assign(64 * 64 - 1, true);
  EXPECT_EQ(tree.first_from(64 * 64 - 1), 64u * 64 - 1);
  EXPECT_FALSE(tree.first_from(64 * 64));
  tree.assign(64 * 64 * 64 - 1, true);
  EXPECT_EQ(tree.first_from(64 * 64), 64u * 64 * 64 - 1);
}

}  // namespace
}  // namespace pleat::store
