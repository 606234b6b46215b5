// SPDX-License-Identifier: MIT OR Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/bytes.h"
#include "codec/guarded_buffer.h"
#include "codec/kernels.h"

namespace pleat::codec {
namespace {

constexpr std::uint64_t kPatterns[] = {
    0, ~std::uint64_t{0}, 1, std::uint64_t{1} << 63, 0x0101010101010101, 0x123456789abcdef0};

TEST(SameFilled, FillAndScanAgreeAtBothEdgesOfMemory) {
  const test::GuardedBuffer memory;
  for (const Kernels* tier : available_kernels()) {
    for (const std::uint64_t pattern : kPatterns) {
      for (const bool end : {false, true}) {
        std::byte* const page = memory.at_edge(end, kPageSize);
        std::memset(page, 0x5a, kPageSize);
        tier->fill(page, pattern);
        for (std::size_t at = 0; at < kPageSize; at += 8) ASSERT_EQ(load_u64(page + at), pattern);
        std::uint64_t found = ~pattern;
        ASSERT_TRUE(tier->same_filled(page, &found)) << tier->name;
        ASSERT_EQ(found, pattern) << tier->name;
      }
    }
  }
}

TEST(SameFilled, OneBitAnywhereIsSeenAndTheAnswerIsLeftAlone) {
  alignas(64) std::byte page[kPageSize];
  for (const Kernels* tier : available_kernels()) {
    tier->fill(page, 0x123456789abcdef0);
    std::mt19937 random(3);
    for (std::size_t at = 0; at < kPageSize; ++at) {
      const auto bit = static_cast<std::byte>(1u << random() % 8);
      page[at] ^= bit;
      std::uint64_t found = 77;
      ASSERT_FALSE(tier->same_filled(page, &found)) << tier->name << ", byte " << at;
      ASSERT_EQ(found, 77u);
      page[at] ^= bit;
    }
  }
}

TEST(SameFilled, AWordIsEightBytes) {
  std::byte page[kPageSize];
  for (const Kernels* tier : available_kernels()) {
    std::uint64_t found = 0;
    for (const std::size_t period : {16, 32, 64, 128, 512, 2048}) {
      for (std::size_t i = 0; i < kPageSize; ++i) page[i] = std::byte{i % period < 8};
      EXPECT_FALSE(tier->same_filled(page, &found)) << tier->name << ", period " << period;
    }
    for (std::size_t i = 0; i < kPageSize; ++i) page[i] = static_cast<std::byte>(i % 4);
    EXPECT_TRUE(tier->same_filled(page, &found));
    EXPECT_EQ(found, 0x0302010003020100u);
  }
}

}  // namespace
}  // namespace pleat::codec
