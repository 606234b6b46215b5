// SPDX-License-Identifier: MIT OR Apache-2.0
// Blocks cross between this library and liblz4 in both directions, in every tier.
#include <gtest/gtest.h>
#include <lz4.h>
#include <lz4hc.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>

#include "codec/chars.h"
#include "codec/isa/tables.h"
#include "codec/kernels.h"
#include "codec/lz4/format.h"
#include "codec/sample_pages.h"
#include "reference/lz4_reference.h"

namespace pleat::codec {
namespace {

using test::chars;
using test::SamplePage;

std::vector<SamplePage> all_pages() {
  auto pages = test::real_pages(64);
  auto synthetic = test::synthetic_pages();
  pages.insert(pages.end(), synthetic.begin(), synthetic.end());
  return pages;
}

TEST(Lz4Interop, Liblz4AndTheReferenceDecodeEveryBlockOfOurs) {
  auto workspace = std::make_unique<Lz4Workspace>();
  const auto pages = all_pages();
  ASSERT_GE(pages.size(), 200u);
  std::byte block[kLz4Bound];
  std::byte page[kPageSize];
  for (const SamplePage& sample : pages) {
    for (unsigned level = 1; level <= kLz4Levels; ++level) {
      SCOPED_TRACE(sample.name + ", level " + std::to_string(level));
      const std::size_t size =
          kScalarKernels.lz4_compress(sample.bytes.data(), block, sizeof(block), level, *workspace);
      ASSERT_GT(size, 0u);
      ASSERT_LE(size, kLz4Bound);
      const int decoded =
          LZ4_decompress_safe(chars(block), chars(page), static_cast<int>(size), kPageSize);
      ASSERT_EQ(decoded, static_cast<int>(kPageSize));
      ASSERT_EQ(std::memcmp(page, sample.bytes.data(), kPageSize), 0);
      const auto reference = reference::decode_lz4({block, size});
      ASSERT_EQ(reference.error, nullptr) << reference.error;
      ASSERT_EQ(std::memcmp(reference.page.data(), sample.bytes.data(), kPageSize), 0);
      for (const Kernels* tier : available_kernels()) {
        SCOPED_TRACE(tier->name);
        std::byte same[kLz4Bound];
        ASSERT_EQ(tier->lz4_compress(sample.bytes.data(), same, sizeof(same), level, *workspace),
                  size);
        ASSERT_EQ(std::memcmp(same, block, size), 0);
        std::memset(page, 0xa5, kPageSize);
        ASSERT_TRUE(tier->lz4_decompress(block, size, page));
        ASSERT_EQ(std::memcmp(page, sample.bytes.data(), kPageSize), 0);
      }
    }
  }
}

TEST(Lz4Interop, WeDecodeEveryBlockOfLiblz4) {
  std::byte block[LZ4_COMPRESSBOUND(kPageSize)];
  std::byte page[kPageSize];
  for (const SamplePage& sample : all_pages()) {
    for (int setting : {-1, -8, -64, 1, 3, 6, 9, 12}) {
      SCOPED_TRACE(sample.name + (setting < 0 ? ", acceleration " : ", HC level ") +
                   std::to_string(std::abs(setting)));
      const char* const from = chars(sample.bytes.data());
      const int size =
          setting < 0 ? LZ4_compress_fast(from, chars(block), kPageSize, sizeof(block), -setting)
                      : LZ4_compress_HC(from, chars(block), kPageSize, sizeof(block), setting);
      ASSERT_GT(size, 0);
      for (const Kernels* tier : available_kernels()) {
        std::memset(page, 0xa5, kPageSize);
        ASSERT_TRUE(tier->lz4_decompress(block, static_cast<std::size_t>(size), page))
            << tier->name;
        ASSERT_EQ(std::memcmp(page, sample.bytes.data(), kPageSize), 0) << tier->name;
      }
    }
  }
}

// A page over 3072 bytes counts as 4096, as in docs/performance.md.
std::size_t stored_bytes(std::size_t size) { return size > 3072 ? kPageSize : size; }

// What the levels are for: of liblz4's ratio, the mean over the programs and the lowest.
TEST(Lz4Interop, RatioStaysBesideLiblz4OnEveryProgram) {
  struct Promise {
    double mean;
    double lowest;
  };
  constexpr Promise kPromises[kLz4Levels + 1] = {{},           {0.91, 0.87}, {0.95, 0.92},
                                                 {0.97, 0.95}, {0.99, 0.97}, {1, 0.98}};
  auto workspace = std::make_unique<Lz4Workspace>();
  std::byte block[LZ4_COMPRESSBOUND(kPageSize)];
  struct Bytes {
    std::size_t ours = 0;
    std::size_t theirs = 0;
  };
  double mean_before = 0;
  for (unsigned level = 1; level <= kLz4Levels; ++level) {
    std::map<std::string, Bytes> programs;
    for (const SamplePage& sample : test::real_pages(256)) {
      Bytes& bytes = programs[sample.name.substr(0, sample.name.find(' '))];
      bytes.ours += stored_bytes(kScalarKernels.lz4_compress(sample.bytes.data(), block,
                                                             sizeof(block), level, *workspace));
      bytes.theirs += stored_bytes(static_cast<std::size_t>(LZ4_compress_fast(
          chars(sample.bytes.data()), chars(block), kPageSize, sizeof(block), 1)));
    }
    double log_sum = 0;
    for (const auto& [name, bytes] : programs) {
      const double relative = static_cast<double>(bytes.theirs) / static_cast<double>(bytes.ours);
      EXPECT_GT(relative, kPromises[level].lowest) << level << ", " << name;
      log_sum += std::log(relative);
    }
    const double mean = std::exp(log_sum / static_cast<double>(programs.size()));
    EXPECT_GT(mean, kPromises[level].mean) << level;
    EXPECT_GT(mean, mean_before) << level;
    mean_before = mean;
  }
}

TEST(Lz4Interop, RunsBecomeOneMatch) {
  auto workspace = std::make_unique<Lz4Workspace>();
  std::byte block[kLz4Bound];
  for (const Kernels* tier : available_kernels()) {
    const std::byte page[kPageSize] = {};
    const std::size_t size =
        tier->lz4_compress(page, block, sizeof(block), kLz4LevelDefault, *workspace);
    // Token, literal, offset, 16 length bytes; token and 5 literals.
    EXPECT_EQ(size, 26u) << tier->name;
    EXPECT_EQ(reference::decode_lz4({block, size}).sequence_count, 2u) << tier->name;
  }
}

}  // namespace
}  // namespace pleat::codec
