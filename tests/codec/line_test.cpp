// SPDX-License-Identifier: MIT OR Apache-2.0
// The line format: all tiers make the same block, which the reference decoder and every tier turn
// back into the page; blocks that no compressor made are judged as the reference judges them; and
// nothing beside a buffer is touched.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/line/line_format.h"
#include "codec/sample_pages.h"
#include "reference/line_reference.h"
#include "repetitions.h"

namespace pleat::codec {
namespace {

using Block = std::vector<std::byte>;

class Line : public ::testing::Test {
 protected:
  Block compress(const Kernels& tier, const std::byte* page, unsigned level) {
    std::byte* const dst = block_.last(kLineBound);
    const std::size_t size = tier.line_compress(page, dst, kLineBound, level, *workspace_);
    EXPECT_GT(size, 0u);
    EXPECT_LE(size, kLineBound);
    return {dst, dst + size};
  }
  // The verdict of a tier, the same at both edges of accessible memory; the page is in page().
  bool decompress(const Kernels& tier, const Block& block) {
    bool good = false;
    for (const bool end : {false, true}) {
      std::byte* const src = block_.at_edge(end, block.size());
      if (!block.empty()) std::memcpy(src, block.data(), block.size());
      page_ = out_.at_edge(!end, kPageSize);
      std::memset(page_, 0xAA, kPageSize);
      const bool verdict = tier.line_decompress(src, block.size(), page_);
      if (end) {
        EXPECT_EQ(verdict, good) << tier.name;
      }
      good = verdict;
    }
    return good;
  }
  // Every tier judges as the reference does, and where the block is good finds the same page.
  void expect_as_reference(const Block& block) {
    const auto reference = reference::decode_line(block);
    for (const Kernels* tier : available_kernels()) {
      ASSERT_EQ(decompress(*tier, block), reference.error == nullptr)
          << tier->name << ": " << (reference.error == nullptr ? "good" : reference.error);
      if (reference.error == nullptr) {
        ASSERT_EQ(std::memcmp(page_, reference.page.data(), kPageSize), 0) << tier->name;
      }
    }
  }

  test::GuardedBuffer block_;
  test::GuardedBuffer out_;
  test::GuardedBuffer in_;
  std::byte* page_ = nullptr;
  std::unique_ptr<LineWorkspace> workspace_ = std::make_unique<LineWorkspace>();
};

std::vector<test::SamplePage> all_pages() {
  auto pages = test::synthetic_pages();
  for (auto& page : test::real_pages(100)) pages.push_back(std::move(page));
  return pages;
}

TEST_F(Line, AllTiersMakeTheBlockThatTheReferenceReads) {
  for (const auto& sample : all_pages()) {
    for (unsigned level = 1; level <= kLineLevels; ++level) {
      for (const bool end : {false, true}) {
        std::byte* const page = in_.at_edge(end, kPageSize);
        std::memcpy(page, sample.bytes.data(), kPageSize);
        const Block first = compress(*available_kernels().front(), page, level);
        const auto reference = reference::decode_line(first);
        ASSERT_EQ(reference.error, nullptr) << sample.name << ": " << reference.error;
        ASSERT_EQ(std::memcmp(reference.page.data(), page, kPageSize), 0) << sample.name;
        for (const Kernels* tier : available_kernels()) {
          ASSERT_EQ(compress(*tier, page, level), first) << tier->name << ", " << sample.name;
          ASSERT_TRUE(decompress(*tier, first)) << tier->name << ", " << sample.name;
          ASSERT_EQ(std::memcmp(page_, sample.bytes.data(), kPageSize), 0)
              << tier->name << ", " << sample.name;
        }
      }
    }
  }
}

TEST_F(Line, ABlockIsRefusedOnlyWhereItDoesNotFit) {
  for (const auto& sample : all_pages()) {
    for (const Kernels* tier : available_kernels()) {
      const Block block = compress(*tier, sample.bytes.data(), kLineLevelDefault);
      for (const std::size_t capacity :
           {block.size() + 65, block.size() + 64, block.size() + 63, block.size() + 1, block.size(),
            block.size() - 1, std::size_t{24}, std::size_t{0}}) {
        std::byte* const dst = block_.last(capacity);
        const std::size_t size =
            tier->line_compress(sample.bytes.data(), dst, capacity, kLineLevelDefault, *workspace_);
        ASSERT_EQ(size, capacity < block.size() ? 0 : block.size()) << tier->name;
        ASSERT_EQ(std::memcmp(dst, block.data(), size), 0) << tier->name;
      }
    }
  }
}

// A workspace carries nothing from one page to the next.
TEST_F(Line, ABlockDependsOnItsPageAlone) {
  const auto pages = all_pages();
  for (const Kernels* tier : available_kernels()) {
    for (std::size_t i = 1; i < pages.size(); ++i) {
      (void)compress(*tier, pages[i - 1].bytes.data(), 5);
      const Block used = compress(*tier, pages[i].bytes.data(), kLineLevelDefault);
      *workspace_ = LineWorkspace();
      ASSERT_EQ(compress(*tier, pages[i].bytes.data(), kLineLevelDefault), used) << pages[i].name;
    }
  }
}

// Bitmaps and what follows, byte by byte.
Block made(std::uint64_t filled, std::uint64_t ninth, std::uint64_t inherits,
           std::initializer_list<int> rest) {
  Block block(24);
  std::memcpy(block.data(), &filled, 8);
  std::memcpy(block.data() + 8, &ninth, 8);
  std::memcpy(block.data() + 16, &inherits, 8);
  for (const int byte : rest) block.push_back(static_cast<std::byte>(byte));
  return block;
}

TEST_F(Line, EachRuleOfTheFormat) {
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  struct Case {
    Block block;
    const char* error;
  };
  const Case cases[] = {
      {{}, "the bitmaps are cut off"},
      {Block(23), "the bitmaps are cut off"},
      {made(0, 0, kAll, {}), nullptr},
      {made(0, 0, kAll, {0}), "bytes behind the block"},
      {made(0, 0, kAll - 1, {0}), "line 0 has a distance"},
      {made(0, 2, kAll, {}), "a ninth bit without a distance"},
      {made(0, 0, kAll - 2, {}), "the distances are cut off"},
      {made(0, 0, kAll - 2, {0}), nullptr},
      {made(0, 0, kAll - 2, {1}), "a distance beyond the page's start"},
      {made(0, 2, kAll - 2, {0}), "a distance beyond the page's start"},
      {made(0, 0, kAll - (std::uint64_t{1} << 33), {255}), nullptr},
      {made(0, std::uint64_t{1} << 33, kAll - (std::uint64_t{1} << 33), {0}), nullptr},
      {made(0, std::uint64_t{1} << 33, kAll - (std::uint64_t{1} << 33), {1}),
       "a distance beyond the page's start"},
      {made(1, 0, kAll, {0, 0, 0}), "the symbols are cut off"},
      {made(1, 0, kAll, {0, 0, 0, 0}), nullptr},
      // Line 0 has no reference line: as zeros.
      {made(1, 0, kAll, {0x22, 0x22, 0x22, 0x22}), nullptr},
      {made(1, 0, kAll, {0x0E, 0, 0, 0}), "the own masks are cut off"},
      {made(1, 0, kAll, {0x0E, 0, 0, 0, 0}), nullptr},
      {made(1, 0, kAll, {0x0E, 0, 0, 0, 3, 7}), "the raw bytes are cut off"},
      {made(1, 0, kAll, {0x0E, 0, 0, 0, 3, 7, 8}), nullptr},
      {made(1, 0, kAll, {0x0E, 0, 0, 0, 3, 7, 8, 9}), "bytes behind the block"},
      // Line 1 is line 0 but for the lowest byte of word 0.
      {made(3, 0, kAll, {0x01, 0, 0, 0, 0x23, 0x22, 0x22, 0x22, 1, 2, 3, 4, 5, 6, 7, 8, 9}),
       nullptr},
  };
  for (const Case& one : cases) {
    const auto reference = reference::decode_line(one.block);
    ASSERT_STREQ(reference.error, one.error);
    expect_as_reference(one.block);
  }
}

TEST_F(Line, DamagedBlocksAreJudgedAsTheReferenceJudgesThem) {
  std::mt19937_64 random(7);
  std::size_t good = 0;
  std::size_t bad = 0;
  for (const auto& sample : all_pages()) {
    const Block block = compress(*available_kernels().back(), sample.bytes.data(), 4);
    for (int turn = 0; turn < 8; ++turn) {
      Block damaged = block;
      for (std::uint64_t flips = random() % 4 + 1; flips != 0; --flips) {
        // Most damage to the header, which says how everything else is read.
        const std::size_t range =
            turn % 2 == 0 ? std::min<std::size_t>(400, damaged.size()) : damaged.size();
        damaged[random() % range] ^= static_cast<std::byte>(1 << random() % 8);
      }
      if (turn % 4 == 3) damaged.resize(random() % (damaged.size() + 1));
      if (turn == 6) damaged.resize(damaged.size() + random() % 700);
      (reference::decode_line(damaged).error == nullptr ? good : bad) += 1;
      expect_as_reference(damaged);
    }
  }
  // Otherwise this tests nothing.
  EXPECT_GT(good, 100u);
  EXPECT_GT(bad, 100u);
}

TEST_F(Line, RandomBytesAreJudgedAsTheReferenceJudgesThem) {
  std::mt19937_64 random(8);
  for (unsigned turn = 0; turn < test::repetitions(4000); ++turn) {
    Block block(random() % 5000);
    for (std::byte& byte : block) byte = static_cast<std::byte>(random());
    if (turn % 2 == 0 && block.size() >= 24) {
      // Past the first rules: no distances.
      std::memset(block.data() + 8, 0, 8);
      std::memset(block.data() + 16, 0xFF, 8);
    }
    expect_as_reference(block);
  }
}

}  // namespace
}  // namespace pleat::codec
