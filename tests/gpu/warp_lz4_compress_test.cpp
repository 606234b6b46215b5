// SPDX-License-Identifier: MIT OR Apache-2.0
// Compression to LZ4 blocks by a warp: liblz4 and our own decoder read them, in any order of lanes
// they are the same, they fit where they have to, and are nearly as short as liblz4's.
#include "gpu/lz4/warp_lz4_compress.h"

#include <gtest/gtest.h>
#include <lz4.h>

#include <cmath>
#include <map>
#include <string>

#include "codec/kernels.h"
#include "codec/sample_pages.h"
#include "gpu/emulated_page.h"
#include "gpu/warp_cost.h"
#include "repetitions.h"

namespace pleat::gpu {
namespace {

// A block that takes more is stored as the page itself.
constexpr std::uint32_t kMost = 4096;

bool one_word(const std::byte* page) {
  std::uint64_t word = 0;
  return codec::available_kernels().front()->same_filled(page, &word);
}

class WarpLz4Compress : public ::testing::Test {
 protected:
  Block compress(const std::byte* page, std::uint32_t capacity = kMost) {
    return pages_.compress(emulator_, warp_lz4_compress, page, capacity);
  }

  void expect_decodes(const Block& block, const std::byte* page) {
    std::byte decoded[kPageSize] = {};
    const int size = LZ4_decompress_safe(reinterpret_cast<const char*>(block.data()),
                                         reinterpret_cast<char*>(decoded),
                                         static_cast<int>(block.size()), kPageSize);
    ASSERT_EQ(size, static_cast<int>(kPageSize));
    ASSERT_EQ(std::memcmp(decoded, page, kPageSize), 0);
    for (const codec::Kernels* tier : codec::available_kernels()) {
      std::memset(decoded, 0xA5, kPageSize);
      ASSERT_TRUE(tier->lz4_decompress(block.data(), block.size(), decoded)) << tier->name;
      ASSERT_EQ(std::memcmp(decoded, page, kPageSize), 0) << tier->name;
    }
  }

  Emulator emulator_{kLz4CompressScratch};
  EmulatedPage pages_;
};

TEST_F(WarpLz4Compress, OtherDecodersReadTheBlocks) {
  auto samples = test::real_pages(test::repetitions(128));
  const auto synthetic = test::synthetic_pages();
  samples.insert(samples.end(), synthetic.begin(), synthetic.end());
  std::size_t decoded = 0;
  for (const auto& sample : samples) {
    SCOPED_TRACE(sample.name);
    const Block block = compress(sample.bytes.data());
    if (block.empty()) continue;
    expect_decodes(block, sample.bytes.data());
    ++decoded;
  }
  EXPECT_GE(decoded, samples.size() * 3 / 4);
}

TEST_F(WarpLz4Compress, TheOrderOfLanesDoesNotMatter) {
  auto samples = test::real_pages(test::repetitions(32));
  const auto synthetic = test::synthetic_pages();
  for (std::size_t i = 0; i < synthetic.size(); i += 4 / test::repetitions(4)) {
    samples.push_back(synthetic[i]);
  }
  for (const auto& sample : samples) {
    SCOPED_TRACE(sample.name);
    emulator_.set_order(Emulator::Order::kForward, 1);
    const Block block = compress(sample.bytes.data());
    emulator_.set_order(Emulator::Order::kReverse, 2);
    ASSERT_EQ(compress(sample.bytes.data()), block);
    emulator_.set_order(Emulator::Order::kRandom, 3);
    ASSERT_EQ(compress(sample.bytes.data()), block);
  }
}

// The buffer ends where the capacity does.
TEST_F(WarpLz4Compress, BlocksThatDoNotFitAreGivenUp) {
  for (const auto& sample : test::real_pages(test::repetitions(16))) {
    SCOPED_TRACE(sample.name);
    const Block block = compress(sample.bytes.data());
    if (block.empty()) continue;
    const auto fits = static_cast<std::uint32_t>((block.size() + 15) / 16 * 16);
    ASSERT_EQ(compress(sample.bytes.data(), fits), block);
    for (const std::uint32_t capacity : {fits - 16, fits / 32 * 16, 16u, 0u}) {
      if (capacity >= block.size()) continue;
      ASSERT_TRUE(compress(sample.bytes.data(), capacity).empty());
    }
  }
}

TEST_F(WarpLz4Compress, BlocksAreNearlyAsShortAsThoseOfLiblz4) {
  struct Sizes {
    double ours = 0;
    double theirs = 0;
  };
  std::map<std::string, Sizes> corpora;
  for (const auto& sample : test::real_pages(test::repetitions(128))) {
    if (one_word(sample.bytes.data())) continue;
    const std::size_t ours = compress(sample.bytes.data()).size();
    char block[LZ4_COMPRESSBOUND(4096)];
    const int theirs = LZ4_compress_fast(reinterpret_cast<const char*>(sample.bytes.data()), block,
                                         kPageSize, sizeof(block), 1);
    Sizes& sizes = corpora[sample.name.substr(0, sample.name.find_first_of(" :0123456789"))];
    sizes.ours += ours == 0 ? kMost : static_cast<double>(ours);
    sizes.theirs += std::min(static_cast<double>(theirs), double{kMost});
  }
  double logarithms = 0;
  for (const auto& [name, sizes] : corpora) {
    const double ratio = sizes.theirs / sizes.ours;
    RecordProperty("ratio_" + name, std::to_string(ratio));
    EXPECT_GE(ratio, 0.95) << name;
    logarithms += std::log(ratio);
  }
  const double mean = std::exp(logarithms / static_cast<double>(corpora.size()));
  RecordProperty("ratio", std::to_string(mean));
  EXPECT_GE(mean, 0.97);
}

TEST_F(WarpLz4Compress, AbsenceOfAnyBarrierIsFound) {
  std::vector<std::byte> block(kMost);
  expect_all_barriers_needed(kLz4CompressScratch, 4, test::real_pages(4),
                             [&](Emulator& emulator, const test::SamplePage& page) {
                               return emulator.run([&](Warp& warp) {
                                 (void)warp_lz4_compress(warp, page.bytes.data(), block.data(),
                                                         kMost);
                               });
                             });
}

TEST_F(WarpLz4Compress, CostsWhatIsPromised) {
  std::size_t count = 0;
  for (const auto& sample : test::real_pages(test::repetitions(128))) {
    if (one_word(sample.bytes.data())) continue;
    (void)compress(sample.bytes.data());
    ++count;
  }
  const WarpCost cost("lz4_compress",
                      {"kLz4CompressStage", "kLz4CompressStep", "kLz4CompressSequence",
                       "kLz4CompressBeyond", "kLz4CompressExtend", "kLz4CompressBatch",
                       "kLz4CompressLengthByte", "kLz4CompressLiterals"});
  const double page = cost.of_page({}, emulator_.counters(), count);
  RecordProperty("warp_instructions_a_page", std::to_string(page));
  EXPECT_LE(page, 15600);
  EXPECT_GE(page, 5000) << "the phases are not counted";
}

}  // namespace
}  // namespace pleat::gpu
