// SPDX-License-Identifier: MIT OR Apache-2.0
// Noise is given up before it is compressed; what a codec makes shorter is not, on real pages.
#include "codec/incompressible.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "codec/guarded_buffer.h"
#include "codec/page_codec.h"
#include "codec/sample_pages.h"

namespace pleat::codec {
namespace {

void fill_with_noise(std::byte* page, std::mt19937_64& random) {
  for (std::size_t at = 0; at < kPageSize; at += 8) {
    const std::uint64_t word = random();
    std::memcpy(page + at, &word, sizeof(word));
  }
}

TEST(Incompressible, NoiseIsFoundAtBothEdgesOfMemory) {
  const test::GuardedBuffer memory;
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::byte* const page = memory.at_edge(i % 2 != 0, kPageSize);
    fill_with_noise(page, random);
    ASSERT_TRUE(incompressible(page)) << i;
  }
}

TEST(Incompressible, NoiseWithAQuarterOfTextIsNot) {
  constexpr std::string_view kText = "It was a dark and stormy night; the rain fell in torrents. ";
  std::mt19937_64 random(2);
  alignas(64) std::byte page[kPageSize];
  for (std::size_t quarter = 0; quarter < 4; ++quarter) {
    fill_with_noise(page, random);
    for (std::size_t i = 0; i < kPageSize / 4; ++i) {
      page[quarter * kPageSize / 4 + i] = static_cast<std::byte>(kText[i % kText.size()]);
    }
    EXPECT_FALSE(incompressible(page)) << quarter;
  }
}

// At most one in a thousand of the pages that a codec brings below 3624 bytes, above which the
// store keeps them raw, is given up.
TEST(Incompressible, HardlyAnyRealPageThatCompressesIsGivenUp) {
  const Kernels& kernels = *available_kernels().back();
  auto line = PageCodec::open("line", kernels);
  auto lz4 = PageCodec::open("lz4", kernels);
  ASSERT_TRUE(line && lz4);
  std::byte block[3624];
  std::size_t compressible = 0;
  std::size_t given_up = 0;
  for (const auto& sample : test::real_pages(256)) {
    const std::byte* const page = sample.bytes.data();
    if (line->encode(page, block, sizeof(block)).size == 0 &&
        lz4->encode(page, block, sizeof(block)).size == 0) {
      continue;
    }
    ++compressible;
    if (incompressible(page)) ++given_up;
  }
  EXPECT_GT(compressible, 30u);
  EXPECT_LE(given_up * 1000, compressible);
}

// A codec that chooses keeps noise as it is, with one byte behind it, where there is room.
TEST(Incompressible, NoiseComesBackFromABlockThatStandsAlone) {
  std::mt19937_64 random(3);
  alignas(64) std::byte page[kPageSize];
  fill_with_noise(page, random);
  for (const Kernels* kernels : available_kernels()) {
    auto codec = PageCodec::open("line,fallback=lz4", *kernels);
    ASSERT_TRUE(codec);
    std::vector<std::byte> block(codec->bound());
    EXPECT_EQ(codec->compress(page, block.data(), kPageSize), 0u);
    ASSERT_EQ(codec->compress(page, block.data(), block.size()), kPageSize + 1);
    std::byte back[kPageSize] = {};
    ASSERT_TRUE(codec->decompress(block.data(), kPageSize + 1, back));
    EXPECT_EQ(std::memcmp(back, page, kPageSize), 0);
    block[kPageSize - 1] = std::byte{0};
    EXPECT_FALSE(codec->decompress(block.data(), kPageSize, back));
    EXPECT_EQ(codec->encode(page, block.data(), block.size()).size, 0u);
  }
}

}  // namespace
}  // namespace pleat::codec
