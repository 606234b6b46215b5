// SPDX-License-Identifier: MIT OR Apache-2.0
// Decompression of the line format by a warp: the CPU's blocks become the same pages in any order
// of lanes, any other input is judged as the reference judges it, and each barrier is needed.
#include "gpu/line/warp_line_decompress.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "codec/kernels.h"
#include "codec/line/line_format.h"
#include "codec/sample_pages.h"
#include "gpu/emulated_page.h"
#include "gpu/warp_cost.h"
#include "reference/line_reference.h"
#include "repetitions.h"

namespace pleat::gpu {
namespace {

Block cpu_block(const std::byte* page, unsigned level) {
  static const auto workspace = std::make_unique<codec::LineWorkspace>();
  Block block(codec::kLineBound);
  block.resize(codec::available_kernels().back()->line_compress(page, block.data(), block.size(),
                                                                level, *workspace));
  return block;
}

class WarpLineDecompress : public ::testing::Test {
 protected:
  Decompressed decompress(const Block& block) {
    return pages_.decompress(emulator_, warp_line_decompress, block);
  }

  void expect_as_reference(const Block& block) {
    const auto reference = reference::decode_line(block);
    const Decompressed result = decompress(block);
    ASSERT_EQ(result.fault, "");
    if (block.size() > kLineBlockMax) {
      ASSERT_EQ(result.status, PageStatus::kTooLarge);
      return;
    }
    ASSERT_EQ(result.status, reference.error == nullptr ? PageStatus::kOk : PageStatus::kCorrupt)
        << (reference.error == nullptr ? "good" : reference.error);
    if (reference.error == nullptr) {
      ASSERT_EQ(std::memcmp(result.page.data(), reference.page.data(), kPageSize), 0);
    }
  }

  Emulator emulator_{kLineDecompressScratch};
  EmulatedPage pages_;
};

TEST_F(WarpLineDecompress, BlocksOfTheCpuBecomeTheirPages) {
  for (const auto& sample : test::synthetic_pages()) {
    SCOPED_TRACE(sample.name);
    expect_as_reference(cpu_block(sample.bytes.data(), 3));
  }
  unsigned level = 0;
  for (const auto& sample : test::real_pages(test::repetitions(128))) {
    SCOPED_TRACE(sample.name);
    expect_as_reference(cpu_block(sample.bytes.data(), 1 + level++ % codec::kLineLevels));
  }
}

TEST_F(WarpLineDecompress, TheOrderOfLanesDoesNotMatter) {
  const auto samples = test::real_pages(test::repetitions(32));
  for (const auto order : {Emulator::Order::kReverse, Emulator::Order::kRandom}) {
    emulator_.set_order(order, 7);
    for (const auto& sample : samples) {
      SCOPED_TRACE(sample.name);
      expect_as_reference(cpu_block(sample.bytes.data(), 3));
    }
  }
}

TEST_F(WarpLineDecompress, DamagedBlocksAreJudgedAsTheReferenceJudgesThem) {
  std::mt19937 random(11);
  emulator_.set_order(Emulator::Order::kRandom, 5);
  for (const auto& sample : test::real_pages(8)) {
    const Block good = cpu_block(sample.bytes.data(), 3);
    for (unsigned i = 0; i < test::repetitions(64); ++i) {
      Block bad = good;
      // In the header as often as in the rest.
      const std::size_t reach = i % 2 == 0 ? std::min<std::size_t>(bad.size(), 100) : bad.size();
      for (auto changes = 1 + random() % 3; changes > 0; --changes) {
        bad[random() % reach] = static_cast<std::byte>(random());
      }
      if (i % 8 == 7) bad.resize(random() % (bad.size() + 1));
      SCOPED_TRACE(sample.name + ", change " + std::to_string(i));
      expect_as_reference(bad);
    }
  }
}

TEST_F(WarpLineDecompress, NoiseAndExtremesAreJudgedAsTheReferenceJudgesThem) {
  std::mt19937 random(12);
  for (unsigned i = 0; i < test::repetitions(400); ++i) {
    Block noise(random() % (kLineBlockMax + 100));
    for (std::byte& byte : noise) byte = static_cast<std::byte>(random());
    // Headers that reach as far as one can.
    if (i % 4 != 0)
      std::fill_n(noise.begin(), std::min<std::size_t>(24, noise.size()), std::byte{0xFF});
    if (i % 4 == 2 && noise.size() >= 24) std::fill_n(noise.begin() + 16, 8, std::byte{1});
    expect_as_reference(noise);
  }
  expect_as_reference({});
}

TEST_F(WarpLineDecompress, AbsenceOfAnyBarrierIsFound) {
  std::vector<Block> blocks;
  for (const auto& sample : test::real_pages(4))
    blocks.push_back(cpu_block(sample.bytes.data(), 3));
  expect_all_barriers_needed(
      kLineDecompressScratch, 3, blocks, [&](Emulator& emulator, const Block& block) {
        return pages_.decompress(emulator, warp_line_decompress, block).fault;
      });
}

TEST_F(WarpLineDecompress, CostsWhatIsPromised) {
  const auto samples = test::real_pages(test::repetitions(128));
  const EmulatorCounters before = emulator_.counters();
  for (const auto& sample : samples) (void)decompress(cpu_block(sample.bytes.data(), 3));
  const WarpCost cost("line_decompress", {"kLineStage", "kLineParse", "kLineStep"});
  const double page = cost.of_page(before, emulator_.counters(), samples.size());
  RecordProperty("warp_instructions_a_page", std::to_string(page));
  EXPECT_LE(page, 1500);
  EXPECT_GE(page, 800) << "the phases are not counted";
}

}  // namespace
}  // namespace pleat::gpu
