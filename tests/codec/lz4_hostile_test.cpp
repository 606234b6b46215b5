// SPDX-License-Identifier: MIT OR Apache-2.0
// The decoder against blocks that no compressor made: each rule of the format broken once, damaged
// blocks and random bytes. The reference decoder says which are still good.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/lz4_blocks.h"
#include "codec/sample_pages.h"
#include "reference/lz4_reference.h"
#include "repetitions.h"

namespace pleat::codec {
namespace {

using test::Block;
using BlockBuilder = test::Lz4BlockBuilder;

// Decodes with the block and the page at the given edges of accessible memory.
bool decode(const Kernels& tier, const Block& block, bool end, const test::GuardedBuffer& in,
            const test::GuardedBuffer& out, Block& page) {
  std::byte* const src = in.at_edge(end, block.size());
  if (!block.empty()) std::memcpy(src, block.data(), block.size());
  std::byte* const dst = out.at_edge(end, kPageSize);
  const bool good = tier.lz4_decompress(src, block.size(), dst);
  page.assign(dst, dst + kPageSize);
  return good;
}

// All tiers, both edges: the reference's verdict, and its page.
void expect_as_reference(const Block& block, const test::GuardedBuffer& in,
                         const test::GuardedBuffer& out) {
  const auto reference = reference::decode_lz4(block);
  Block page;
  for (const Kernels* tier : available_kernels()) {
    for (const bool end : {false, true}) {
      const bool good = decode(*tier, block, end, in, out, page);
      ASSERT_EQ(good, reference.error == nullptr)
          << tier->name << ": " << (good ? reference.error : "refused a good block");
      if (good) {
        ASSERT_EQ(page, reference.page) << tier->name;
      }
    }
  }
}

class Lz4Hostile : public testing::Test {
 protected:
  test::GuardedBuffer in_;
  test::GuardedBuffer out_;
};

TEST_F(Lz4Hostile, EachRuleBrokenOnceIsRefused) {
  const Block endless(test::GuardedBuffer::kBytes, std::byte{255});
  for (test::GoldenBlock& golden : test::golden_lz4_blocks()) {
    SCOPED_TRACE(golden.name);
    if (golden.block.size() > endless.size()) golden.block.resize(endless.size());
    const auto reference = reference::decode_lz4(golden.block);
    ASSERT_STREQ(reference.error == nullptr ? "" : reference.error,
                 golden.error == nullptr ? "" : golden.error);
    expect_as_reference(golden.block, in_, out_);
  }
}

TEST_F(Lz4Hostile, OverlappingMatchesOfEveryOffsetAndLength) {
  for (std::size_t offset = 1; offset <= 64; ++offset) {
    for (std::size_t length = 4; length <= 100; ++length) {
      SCOPED_TRACE("offset " + std::to_string(offset) + ", length " + std::to_string(length));
      // In the middle of the page, and as the last match.
      expect_as_reference(BlockBuilder().sequence(offset, offset, length).last(), in_, out_);
      expect_as_reference(
          BlockBuilder()
              .sequence(kPageSize - 5 - std::max<std::size_t>(length, 7), offset, length)
              .last(),
          in_, out_);
      if (HasFatalFailure()) return;
    }
    expect_as_reference(BlockBuilder().sequence(offset, offset, kPageSize - offset - 5).last(), in_,
                        out_);
  }
}

// Where the decoder's fast loop hands over to the exact one: all literal counts and match lengths
// that end near the page's end, right and wrong.
TEST_F(Lz4Hostile, EverySequenceNearTheEndOfThePage) {
  for (std::size_t room = 0; room <= 110; ++room) {
    for (std::size_t literals = 0; literals <= std::min<std::size_t>(room, 70); ++literals) {
      const std::size_t left = room - literals;
      // The longest match that the page has room for, and a few on both sides of the rules.
      for (std::size_t behind = 0; behind <= 40 && behind + kMinMatch <= left; ++behind) {
        // The copies differ by offset; neighbours take turns, so that all meet all edges nearly.
        constexpr std::size_t kOffsets[] = {3, 17, 40};
        const std::size_t offset = kOffsets[(room + literals + behind) % 3];
        BlockBuilder builder;
        builder.sequence(30, 30, kPageSize - room - 30).sequence(literals, offset, left - behind);
        expect_as_reference(builder.last(), in_, out_);
        if (HasFatalFailure()) {
          ADD_FAILURE() << "room " << room << ", literals " << literals << ", behind " << behind;
          return;
        }
      }
      // More input than the page has room for, so that only the page's end can stop the copies.
      BlockBuilder endless;
      endless.sequence(30, 30, kPageSize - room - 30).sequence(literals, 17, 30);
      for (int i = 0; i < 200; ++i) endless.put(0x11);
      expect_as_reference(endless, in_, out_);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(Lz4Hostile, TruncatedBlocksAreRefused) {
  auto workspace = std::make_unique<Lz4Workspace>();
  const Kernels& tier = *available_kernels().back();
  Block block(kLz4Bound);
  for (const auto& sample : test::real_pages(1)) {
    SCOPED_TRACE(sample.name);
    block.resize(kLz4Bound);
    block.resize(tier.lz4_compress(sample.bytes.data(), block.data(), kLz4Bound, kLz4LevelDefault,
                                   *workspace));
    while (!block.empty()) {
      block.pop_back();
      ASSERT_NE(reference::decode_lz4(block).error, nullptr);
      expect_as_reference(block, in_, out_);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(Lz4Hostile, DamagedBlocksAreDecodedAsTheReferenceDoesOrRefused) {
  auto workspace = std::make_unique<Lz4Workspace>();
  const Kernels& tier = *available_kernels().back();
  std::mt19937 random(1);
  std::size_t good = 0;
  std::size_t bad = 0;
  for (const auto& sample : test::real_pages(4)) {
    Block block(kLz4Bound);
    block.resize(tier.lz4_compress(sample.bytes.data(), block.data(), kLz4Bound, kLz4LevelDefault,
                                   *workspace));
    for (int round = 0; round < 300; ++round) {
      Block damaged = block;
      for (std::size_t flips = 1 + random() % 3; flips > 0; --flips) {
        damaged[random() % damaged.size()] ^= static_cast<std::byte>(1u << random() % 8);
      }
      expect_as_reference(damaged, in_, out_);
      if (HasFatalFailure()) return;
      ++(reference::decode_lz4(damaged).error == nullptr ? good : bad);
    }
  }
  EXPECT_GT(good, 100u);
  EXPECT_GT(bad, 100u);
}

TEST_F(Lz4Hostile, RandomBytesAndRandomSequences) {
  std::mt19937 random(2);
  for (unsigned round = 0; round < test::repetitions(20'000); ++round) {
    Block block(random() % 200);
    for (std::byte& byte : block) byte = static_cast<std::byte>(random());
    expect_as_reference(block, in_, out_);
    if (HasFatalFailure()) return;
  }
  for (unsigned round = 0; round < test::repetitions(5'000); ++round) {
    const test::Lz4LongLengths lengths{.literals = 40, .match = 500, .rarity = 4};
    expect_as_reference(test::random_lz4_block(random, lengths), in_, out_);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace pleat::codec
