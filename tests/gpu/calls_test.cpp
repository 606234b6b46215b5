// SPDX-License-Identifier: MIT OR Apache-2.0
// Without optimisation the emulator tells collectives apart by the calls that led there too: on a
// GPU, where functions are inlined, one of a function that two branches call is two. No kernel has
// such.
#ifdef __OPTIMIZE__
#error "the compiler may merge or copy calls: this test is built with -O0"
#endif

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "codec/sample_pages.h"
#include "gpu/emulated_page.h"
#include "gpu/plugin/page_kernels.h"

namespace pleat::gpu {
namespace {

using ::testing::HasSubstr;

TEST(Calls, OfOneFunctionInTwoBranchesAreTwoCollectives) {
  Emulator emulator(4);
  const auto vote = [](Warp& warp) { return warp.ballot(true); };
  EXPECT_THAT(emulator.run([&](Warp& warp) {
    if (warp.lane() < 16) {
      (void)vote(warp);
    } else {
      (void)vote(warp);
    }
  }),
              HasSubstr("not called by all lanes"));
  EXPECT_EQ(emulator.run([&](Warp& warp) {
    for (unsigned i = 0; i < 3; ++i) (void)vote(warp);
  }),
            "");
}

// Real pages, and those of the synthetic ones that lead to rare parts of a kernel.
std::vector<test::SamplePage> pages() {
  std::vector<test::SamplePage> chosen = test::real_pages(4);
  const auto synthetic = test::synthetic_pages();
  for (std::size_t i = 0; i < synthetic.size(); i += 13) chosen.push_back(synthetic[i]);
  return chosen;
}

template <typename Codec>
void expect_one_way_only() {
  EmulatedPage memory;
  Emulator compressor(Codec::kCompressScratch);
  Emulator decompressor(Codec::kDecompressScratch);
  for (const auto& page : pages()) {
    SCOPED_TRACE(page.name);
    const Block block = memory.compress(compressor, Codec::compress, page.bytes.data(), 4096);
    if (block.empty()) continue;
    const Decompressed back = memory.decompress(decompressor, Codec::decompress, block);
    ASSERT_EQ(back.fault, "");
    ASSERT_EQ(back.status, PageStatus::kOk);
    ASSERT_EQ(std::memcmp(back.page.data(), page.bytes.data(), kPageSize), 0);
  }
}

TEST(Calls, OfLineAreOneWayOnly) { expect_one_way_only<LineCodec>(); }
TEST(Calls, OfLz4AreOneWayOnly) { expect_one_way_only<Lz4Codec>(); }

TEST(Calls, OfLz4sPlainDecompressorAreOneWayOnly) {
  EmulatedPage memory;
  Emulator compressor(Lz4Codec::kCompressScratch);
  Emulator decompressor(Lz4PlainCodec::kDecompressScratch);
  for (const auto& page : pages()) {
    const Block block = memory.compress(compressor, Lz4Codec::compress, page.bytes.data(), 4096);
    if (block.empty()) continue;
    EXPECT_EQ(memory.decompress(decompressor, Lz4PlainCodec::decompress, block).fault, "");
  }
}

TEST(Calls, OfFeaturesAreOneWayOnly) {
  Emulator emulator(kPageLookScratch);
  for (const auto& page : pages()) {
    PageFeatures features;
    EXPECT_EQ(
        emulator.run([&](Warp& warp) { warp_page_features(warp, page.bytes.data(), &features); }),
        "");
  }
}

}  // namespace
}  // namespace pleat::gpu
