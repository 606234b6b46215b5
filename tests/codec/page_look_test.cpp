// SPDX-License-Identifier: MIT OR Apache-2.0
// Noise is given up before it is compressed; what a codec makes shorter is not, on real pages.
#include "codec/page_look.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <string>
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

TEST(PageLook, NoiseIsFoundAtBothEdgesOfMemory) {
  const test::GuardedBuffer memory;
  std::mt19937_64 random(1);
  int found = 0;
  for (int i = 0; i < 2000; ++i) {
    std::byte* const page = memory.at_edge(i % 2 != 0, kPageSize);
    fill_with_noise(page, random);
    if (look_at(page) == PageLook::kNoise) ++found;
  }
  EXPECT_GT(found, 1980);
}

TEST(PageLook, NoiseWithAQuarterOfTextIsNot) {
  constexpr std::string_view kText = "It was a dark and stormy night; the rain fell in torrents. ";
  std::mt19937_64 random(2);
  alignas(64) std::byte page[kPageSize];
  for (std::size_t quarter = 0; quarter < 4; ++quarter) {
    fill_with_noise(page, random);
    for (std::size_t i = 0; i < kPageSize / 4; ++i) {
      page[quarter * kPageSize / 4 + i] = static_cast<std::byte>(kText[i % kText.size()]);
    }
    EXPECT_EQ(look_at(page), PageLook::kBytes) << quarter;
  }
}

// Every value is as frequent as in noise, and none of these is noise.
TEST(PageLook, WhatRepeatsIsNotNoise) {
  alignas(64) std::byte page[kPageSize];
  for (std::size_t period = 1; period <= 256; ++period) {
    for (std::size_t first = 0; first < 256; first += 16) {
      for (std::size_t i = 0; i < kPageSize; ++i) {
        page[i] = static_cast<std::byte>(first + i % period);
      }
      ASSERT_NE(look_at(page), PageLook::kNoise) << period << ", " << first;
    }
  }
}

// What wrong guesses cost on real pages: next to nothing, on every program's, beside choosing by
// the blocks' sizes alone. A page over 3632 bytes is kept raw by the store.
TEST(PageLook, GuessesCostNoBytesOnRealPages) {
  const Kernels& kernels = *available_kernels().back();
  auto line = PageCodec::open("line", kernels);
  auto lz4 = PageCodec::open("lz4", kernels);
  auto both = PageCodec::open("line,fallback=lz4", kernels);
  ASSERT_TRUE(line && lz4 && both);
  struct Bytes {
    std::size_t shorter = 0;
    std::size_t chosen = 0;
    std::size_t not_words = 0;
  };
  std::map<std::string, Bytes> programs;
  for (const auto& sample : test::real_pages(512)) {
    const std::byte* const page = sample.bytes.data();
    std::byte block[3632];
    const auto stored = [&](PageCodec& codec) {
      const std::size_t size = codec.encode(page, block, sizeof(block)).size;
      return size == 0 ? kPageSize : size;
    };
    Bytes& bytes = programs[sample.name.substr(0, sample.name.find(' '))];
    const std::size_t as_line = stored(*line);
    bytes.shorter += as_line <= 2400 ? as_line : std::min(as_line, stored(*lz4));
    bytes.chosen += stored(*both);
    if (look_at(page) != PageLook::kWords) ++bytes.not_words;
  }
  std::size_t not_words = 0;
  for (const auto& [name, bytes] : programs) {
    EXPECT_LE(static_cast<double>(bytes.chosen), 1.002 * static_cast<double>(bytes.shorter))
        << name;
    not_words += bytes.not_words;
  }
  EXPECT_GT(not_words, 0u);
}

// A codec that chooses keeps noise as it is, with one byte behind it, where there is room.
TEST(PageLook, NoiseComesBackFromABlockThatStandsAlone) {
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
