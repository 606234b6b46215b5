// SPDX-License-Identifier: MIT OR Apache-2.0
// Decompression of LZ4 by a warp, both ways: blocks of liblz4 and of the CPU's codecs become the
// same pages in any order of lanes, any other input is judged as the reference and the CPU judge
// it, and each barrier is needed.
#include <gtest/gtest.h>
#include <lz4.h>
#include <lz4hc.h>

#include <memory>
#include <random>

#include "codec/chars.h"
#include "codec/kernels.h"
#include "codec/lz4/format.h"
#include "codec/lz4/hc_workspace.h"
#include "codec/lz4_blocks.h"
#include "codec/sample_pages.h"
#include "gpu/emulated_page.h"
#include "gpu/lz4/warp_lz4_decompress_plain.h"
#include "gpu/lz4/warp_lz4_decompress_speculative.h"
#include "gpu/warp_cost.h"
#include "reference/lz4_reference.h"
#include "repetitions.h"

namespace pleat::gpu {
namespace {

using test::chars;
using Lz4Builder = test::Lz4BlockBuilder;

// Of all offsets and lengths, a quarter where each takes long.
constexpr std::size_t kStep = 4 / test::repetitions(4);

enum class Maker { kLiblz4, kLiblz4Hc, kLz4, kLz4Hc };
constexpr Maker kMakers[] = {Maker::kLiblz4, Maker::kLiblz4Hc, Maker::kLz4, Maker::kLz4Hc};

Block lz4_block(const std::byte* page, Maker maker) {
  static const auto workspace = std::make_unique<codec::Lz4Workspace>();
  static const auto hc_workspace = std::make_unique<codec::Lz4HcWorkspace>();
  const codec::Kernels& cpu = *codec::available_kernels().back();
  Block block(codec::kLz4Bound);
  const auto bound = static_cast<int>(block.size());
  std::size_t size = 0;
  switch (maker) {
    case Maker::kLiblz4:
      size = static_cast<std::size_t>(
          LZ4_compress_fast(chars(page), chars(block.data()), kPageSize, bound, 1));
      break;
    case Maker::kLiblz4Hc:
      size = static_cast<std::size_t>(
          LZ4_compress_HC(chars(page), chars(block.data()), kPageSize, bound, 12));
      break;
    case Maker::kLz4:
      size =
          cpu.lz4_compress(page, block.data(), block.size(), codec::kLz4LevelDefault, *workspace);
      break;
    case Maker::kLz4Hc:
      size = cpu.lz4hc_compress(page, block.data(), block.size(), *hc_workspace);
      break;
  }
  block.resize(size);
  return block;
}

struct Lz4Design {
  const char* name;
  PageStatus (*decompress)(Warp&, const std::byte*, std::uint32_t, std::byte*);
  std::size_t scratch_bytes;
  const char* kernel;
  std::vector<const char*> own_phases;
  double instructions_max;  // a page
};
const Lz4Design kLz4Designs[] = {
    {"Plain",
     warp_lz4_decompress_plain,
     kLz4PlainScratch,
     "lz4_decompress_plain",
     {"kLz4PlainSequence", "kLz4PlainLiterals", "kLz4PlainMatch"},
     22000},
    {"Speculative",
     warp_lz4_decompress_speculative,
     kLz4SpeculativeScratch,
     "lz4_decompress_speculative",
     {"kLz4Window", "kLz4LongWindow", "kLz4Batch", "kLz4LongSequence", "kLz4Steps", "kLz4Step",
      "kLz4StepChain"},
     5500},
};
static_assert(kLz4PlainScratch <= 8448 && kLz4SpeculativeScratch <= 8448);

class WarpLz4Decompress : public testing::TestWithParam<Lz4Design> {
 protected:
  Decompressed decompress(const Block& block) {
    return pages_.decompress(emulator_, GetParam().decompress, block);
  }

  // The reference's verdict, which the CPU's decoder has to share, and its page.
  void expect_as_reference(const Block& block) {
    const auto reference = reference::decode_lz4(block);
    const Decompressed result = decompress(block);
    ASSERT_EQ(result.fault, "");
    if (block.size() > kLz4BlockMax) {
      ASSERT_EQ(result.status, PageStatus::kTooLarge);
      return;
    }
    ASSERT_EQ(result.status, reference.error == nullptr ? PageStatus::kOk : PageStatus::kCorrupt)
        << (reference.error == nullptr ? "good" : reference.error);
    if (reference.error == nullptr) {
      ASSERT_EQ(result.page, reference.page);
      ++good_;
    } else {
      ++bad_;
    }
    Block page(kPageSize);
    ASSERT_EQ(
        codec::available_kernels().back()->lz4_decompress(block.data(), block.size(), page.data()),
        reference.error == nullptr);
  }

  Emulator emulator_{GetParam().scratch_bytes};
  EmulatedPage pages_;
  unsigned good_ = 0;
  unsigned bad_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Designs, WarpLz4Decompress, testing::ValuesIn(kLz4Designs),
                         [](const auto& design) { return std::string(design.param.name); });

TEST_P(WarpLz4Decompress, BlocksOfAnyCompressorBecomeTheirPages) {
  unsigned turn = 0;
  for (const auto& sample : test::synthetic_pages()) {
    for (unsigned i = 0; i < test::repetitions(4); ++i) {
      SCOPED_TRACE(sample.name);
      expect_as_reference(lz4_block(sample.bytes.data(), kMakers[turn++ % 4]));
      if (HasFatalFailure()) return;
    }
  }
  for (const auto& sample : test::real_pages(test::repetitions(64))) {
    SCOPED_TRACE(sample.name);
    expect_as_reference(lz4_block(sample.bytes.data(), kMakers[turn++ % 4]));
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(bad_, 0u);
}

TEST_P(WarpLz4Decompress, TheOrderOfLanesDoesNotMatter) {
  const auto samples = test::real_pages(test::repetitions(16));
  for (const auto order : {Emulator::Order::kReverse, Emulator::Order::kRandom}) {
    emulator_.set_order(order, 7);
    unsigned turn = 0;
    for (const auto& sample : samples) {
      SCOPED_TRACE(sample.name);
      expect_as_reference(lz4_block(sample.bytes.data(), kMakers[turn++ % 4]));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(WarpLz4Decompress, EachRuleBrokenOnceIsCorrupt) {
  for (test::GoldenBlock& golden : test::golden_lz4_blocks()) {
    SCOPED_TRACE(golden.name);
    if (golden.block.size() > test::GuardedBuffer::kBytes) {
      golden.block.resize(test::GuardedBuffer::kBytes);
    }
    expect_as_reference(golden.block);
    // The longest that is still looked at.
    if (golden.block.size() > kLz4BlockMax) golden.block.resize(kLz4BlockMax);
    expect_as_reference(golden.block);
  }
}

TEST_P(WarpLz4Decompress, OverlappingMatchesOfEveryOffset) {
  for (std::size_t offset = 1; offset <= 70; offset += kStep) {
    for (const std::size_t length : {4u, 5u, 18u, 19u, 31u, 32u, 33u, 64u, 65u, 100u, 273u, 274u}) {
      SCOPED_TRACE("offset " + std::to_string(offset) + ", length " + std::to_string(length));
      expect_as_reference(Lz4Builder().sequence(offset, offset, length).last());
      expect_as_reference(
          Lz4Builder()
              .sequence(kPageSize - 5 - std::max<std::size_t>(length, 7), offset, length)
              .last());
      if (HasFatalFailure()) return;
    }
    expect_as_reference(Lz4Builder().sequence(offset, offset, kPageSize - offset - 5).last());
  }
}

// As many sequences as a page can have, of each shape and count of literals, and one more; and as
// many tokens as a block can have.
TEST_P(WarpLz4Decompress, BlocksFullOfShortSequences) {
  for (std::size_t literals = 0; literals <= 3; ++literals) {
    for (const std::size_t first : {std::size_t{1}, std::size_t{500}, std::size_t{3000}}) {
      for (const std::size_t offset : {1u, 3u, 4u}) {
        for (std::size_t left_out = 0; left_out <= 2; ++left_out) {
          Lz4Builder builder;
          builder.sequence(first, 1, 4);
          const std::size_t room = kPageSize - 5 - first - 4;
          // With none left out, the last one may break rule 4 or 5.
          const std::size_t sequences = room / (4 + literals) + 1 - left_out;
          for (std::size_t i = 0; i < sequences; ++i) builder.sequence(literals, offset, 4);
          SCOPED_TRACE(std::to_string(literals) + " literals, first " + std::to_string(first));
          // Beyond the page, any last sequence will do.
          const bool fits = first + 4 + sequences * (4 + literals) <= kPageSize;
          expect_as_reference(fits ? builder.last() : builder.put(0));
          if (HasFatalFailure()) return;
        }
      }
    }
  }
  EXPECT_GE(good_, 48u);
  EXPECT_GE(bad_, 1u);
  for (const std::size_t size : {kLz4BlockMax, kLz4BlockMax - 1, kLz4BlockMax - 2}) {
    for (const unsigned token : {0x00u, 0x10u, 0x0Fu, 0xF0u, 0xFFu}) {
      Block block(size, std::byte{1});
      for (std::size_t i = 0; i < size; i += token == 0 ? 3 : 4) {
        block[i] = static_cast<std::byte>(token);
      }
      expect_as_reference(block);
    }
    expect_as_reference(Block(size));
    expect_as_reference(Block(size, std::byte{255}));
  }
}

TEST_P(WarpLz4Decompress, LengthsThatOverflowAreCorrupt) {
  // Sums of length bytes around multiples of what a kernel may count in.
  for (std::size_t bytes = 0; bytes < 4000; bytes += bytes < 40 ? kStep : 61 * kStep) {
    for (const bool is_match : {false, true}) {
      for (const unsigned last : {0u, 1u, 16u, 241u, 254u}) {
        Lz4Builder builder;
        if (is_match) builder.sequence(4, 4, 19);
        Block block = builder;
        if (is_match) {
          block.pop_back();
        } else {
          block.push_back(std::byte{0xF0});
        }
        block.insert(block.end(), bytes, std::byte{255});
        block.push_back(static_cast<std::byte>(last));
        block.insert(block.end(), {std::byte{0x50}, std::byte{1}, std::byte{2}, std::byte{3},
                                   std::byte{4}, std::byte{5}});
        expect_as_reference(block);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(WarpLz4Decompress, DamagedBlocksAreJudgedAsTheReferenceJudgesThem) {
  std::mt19937 random(11);
  emulator_.set_order(Emulator::Order::kRandom, 5);
  for (const auto& sample : test::real_pages(2)) {
    const Block good = lz4_block(sample.bytes.data(), kMakers[random() % 4]);
    for (unsigned i = 0; i < test::repetitions(32); ++i) {
      Block bad = good;
      for (auto changes = 1 + random() % 3; changes > 0; --changes) {
        std::byte& byte = bad[random() % bad.size()];
        byte = i % 2 == 0 ? byte ^ static_cast<std::byte>(1u << random() % 8)
                          : static_cast<std::byte>(i % 16 == 3 ? 255 : random());
      }
      if (i % 8 == 7) bad.resize(random() % (bad.size() + 1));
      SCOPED_TRACE(sample.name + ", change " + std::to_string(i));
      expect_as_reference(bad);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(good_, 100u);
  EXPECT_GT(bad_, 100u);
}

TEST_P(WarpLz4Decompress, NoiseIsJudgedAsTheReferenceJudgesIt) {
  std::mt19937 random(12);
  for (unsigned i = 0; i < test::repetitions(2000); ++i) {
    Block noise(random() % (i % 4 == 0 ? kLz4BlockMax + 40 : 300));
    // Few values, so that sequences are short and their offsets near.
    const unsigned mask = i % 3 == 0 ? 0xFF : i % 3 == 1 ? 0x11 : 0xF1;
    for (std::byte& byte : noise) byte = static_cast<std::byte>(random() & mask);
    expect_as_reference(noise);
    if (HasFatalFailure()) return;
  }
  expect_as_reference({});
}

// Mostly good sequences of any kind, so that the decoder gets far.
TEST_P(WarpLz4Decompress, RandomSequencesAreJudgedAsTheReferenceJudgesThem) {
  std::mt19937 random(13);
  for (unsigned round = 0; round < test::repetitions(1000); ++round) {
    const test::Lz4LongLengths lengths{.literals = 300, .match = 600, .rarity = 8};
    expect_as_reference(test::random_lz4_block(random, lengths));
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(good_, bad_);
}

TEST_P(WarpLz4Decompress, AbsenceOfAnyBarrierIsFound) {
  std::vector<Block> blocks;
  for (const auto& sample : test::real_pages(4)) {
    blocks.push_back(lz4_block(sample.bytes.data(), Maker::kLiblz4));
  }
  // As many sequences as there can be.
  Lz4Builder dense;
  dense.sequence(1, 1, 4);
  for (std::size_t i = 0; i < (kPageSize - 5 - 5) / 4; ++i) dense.sequence(0, 1, 4);
  blocks.push_back(dense.last());
  expect_all_barriers_needed(
      GetParam().scratch_bytes, 3, blocks, [&](Emulator& emulator, const Block& block) {
        return pages_.decompress(emulator, GetParam().decompress, block).fault;
      });
}

TEST_P(WarpLz4Decompress, CostsWhatIsPromised) {
  const auto same_filled = [](const test::SamplePage& sample) {
    return std::memcmp(&sample.bytes[8], &sample.bytes[0], kPageSize - 8) == 0;
  };
  std::vector<const char*> phases = {"kLz4Stage", "kLz4Store", "kLz4LengthByte"};
  phases.insert(phases.end(), GetParam().own_phases.begin(), GetParam().own_phases.end());
  const WarpCost cost(GetParam().kernel, phases);
  const EmulatorCounters before = emulator_.counters();
  std::size_t pages = 0;
  for (const auto& sample : test::real_pages(test::repetitions(64))) {
    const Block block = lz4_block(sample.bytes.data(), Maker::kLiblz4);
    if (same_filled(sample) || block.size() > kLz4BlockMax) continue;
    (void)decompress(block);
    ++pages;
  }
  const double page = cost.of_page(before, emulator_.counters(), pages);
  RecordProperty("warp_instructions_a_page", std::to_string(page));
  EXPECT_LE(page, GetParam().instructions_max);
  EXPECT_GE(page, GetParam().instructions_max / 2) << "the phases are not counted";
}

}  // namespace
}  // namespace pleat::gpu
