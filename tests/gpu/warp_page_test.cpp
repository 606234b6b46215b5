// SPDX-License-Identifier: MIT OR Apache-2.0
// What kernels say of pages beside compressing them, and where they put blocks: as the CPU says,
// for any page and any sizes.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "codec/kernels.h"
#include "codec/page_look.h"
#include "codec/sample_pages.h"
#include "gpu/emulated_page.h"
#include "gpu/page_look/warp_page_look.h"
#include "gpu/page_look/warp_same_filled.h"
#include "gpu/warp_compact.h"
#include "gpu/warp_cost.h"
#include "repetitions.h"

namespace pleat::gpu {
namespace {

using PageBytes = std::array<std::byte, kPageSize>;

// Real and synthetic pages, and noise of which parts are zero, repeat, or keep to few values: what
// the verdicts depend on.
std::vector<PageBytes> pages_to_look_at() {
  std::vector<PageBytes> pages;
  for (const auto& sample : test::real_pages(test::repetitions(64))) pages.push_back(sample.bytes);
  for (const auto& sample : test::synthetic_pages()) pages.push_back(sample.bytes);
  std::mt19937 random(21);
  for (unsigned i = 0; i < test::repetitions(400); ++i) {
    PageBytes& page = pages.emplace_back();
    const unsigned mask = i % 4 == 0 ? 0xFF : random() % 256;
    for (std::byte& byte : page) byte = static_cast<std::byte>(random() & mask);
    for (unsigned change = i % 3; change > 0; --change) {
      const std::size_t begin = random() % kPageSize;
      const std::size_t bytes = random() % (kPageSize - begin);
      const std::size_t back = std::min<std::size_t>(begin, change == 1 ? 64 : random() % 600);
      if (random() % 2 == 0) {
        std::fill_n(page.begin() + begin, bytes, std::byte{0});
      } else {
        for (std::size_t at = begin; at < begin + bytes; ++at) page[at] = page[at - back];
      }
    }
    // Around the limits of the samples: 420 of 512 bytes.
    if (i % 8 == 0) {
      for (auto zeros = 80 + random() % 24; zeros > 0; --zeros) {
        page[512 * (random() % 8) + 448 + random() % 64] = std::byte{0};
      }
    }
    // The 4 bytes at a quarter again, at either end of where they are looked for and beyond.
    constexpr std::size_t kAgain[] = {1, 2, 3, 4, 5, 511, 512, 513, 514, 0};
    const std::size_t again = i % 2 == 0 ? 0 : kAgain[random() % 10];
    if (again != 0) {
      for (std::size_t at = 0; at < 4; ++at) page[1024 + again + at] = page[1024 + at];
    }
  }
  return pages;
}

PageFeatures features_of(const std::byte* page) {
  PageFeatures features = {};
  features.look = static_cast<std::uint16_t>(codec::look_at(page));
  for (std::size_t at = 0; at < kPageSize; ++at) {
    if (page[at] == std::byte{0}) ++features.zero_bytes;
    ++features.high_nibbles[static_cast<unsigned>(page[at]) >> 4];
  }
  for (std::size_t at = 0; at < kPageSize; at += 8) {
    const std::uint64_t zero = 0;
    if (std::memcmp(page + at, &zero, 8) == 0) ++features.zero_words;
    if (at >= 64 && std::memcmp(page + at, page + at - 64, 8) == 0) ++features.repeated_words;
  }
  return features;
}

class WarpPage : public ::testing::Test {
 protected:
  // The page with nothing behind it.
  const std::byte* guarded(const std::byte* page) {
    std::byte* const to = in_.last(kPageSize);
    std::memcpy(to, page, kPageSize);
    return to;
  }

  void run(const std::function<void(Warp&)>& kernel) { ASSERT_EQ(emulator_.run(kernel), ""); }

  Emulator emulator_{kPageLookScratch};
  test::GuardedBuffer in_;
  test::GuardedBuffer out_;
};

TEST_F(WarpPage, SameFilledPagesAreFoundAndFilled) {
  const codec::Kernels& cpu = *codec::available_kernels().front();
  auto pages = pages_to_look_at();
  std::mt19937_64 random(22);
  for (unsigned i = 0; i < 200; ++i) {
    PageBytes& page = pages.emplace_back();
    cpu.fill(page.data(), i < 2 ? 0 : random());
    // One bit that differs, anywhere: also in the word that the others are compared with.
    if (i % 2 != 0) page[i < 20 ? i : random() % kPageSize] ^= static_cast<std::byte>(1 << i % 8);
  }
  std::size_t found = 0;
  for (const PageBytes& bytes : pages) {
    const std::byte* const page = guarded(bytes.data());
    std::uint64_t word = 0;
    const bool same = cpu.same_filled(page, &word);
    std::byte* const filled = out_.last(kPageSize);
    std::memset(filled, 0xAA, kPageSize);
    run([&](Warp& warp) {
      std::uint32_t found_word[2];
      const bool said = warp_same_filled(warp, page, found_word);
      EXPECT_EQ(said, same);
      if (!said) return;
      EXPECT_EQ(found_word[0] | std::uint64_t{found_word[1]} << 32, word);
      warp_fill(warp, filled, found_word[0], found_word[1]);
    });
    if (!same) continue;
    ++found;
    ASSERT_EQ(std::memcmp(filled, page, kPageSize), 0);
  }
  EXPECT_GE(found, 100u);
}

TEST_F(WarpPage, FeaturesAreThoseThatTheCpuCounts) {
  const auto pages = pages_to_look_at();
  std::array<std::size_t, 3> looks = {};
  for (const auto order :
       {Emulator::Order::kForward, Emulator::Order::kReverse, Emulator::Order::kRandom}) {
    emulator_.set_order(order, 9);
    for (const PageBytes& bytes : pages) {
      const std::byte* const page = guarded(bytes.data());
      auto* const features = reinterpret_cast<PageFeatures*>(out_.last(sizeof(PageFeatures)));
      run([&](Warp& warp) { warp_page_features(warp, page, features); });
      const PageFeatures expected = features_of(page);
      ASSERT_EQ(*features, expected);
      ++looks.at(expected.look);
    }
  }
  for (const std::size_t count : looks) EXPECT_GE(count, 10u);
}

TEST_F(WarpPage, AbsenceOfAnyBarrierIsFound) {
  PageBytes noise;
  std::mt19937 random(23);
  for (std::byte& byte : noise) byte = static_cast<std::byte>(random());
  const auto look = [&](Warp& warp) { (void)warp_look_at(warp, noise.data()); };
  run(look);
  const auto places = emulator_.syncs_seen();
  ASSERT_GE(places.size(), 2u);
  for (const Warp::Place& place : places) {
    Emulator without(kPageLookScratch);
    without.remove_sync(place);
    EXPECT_NE(without.run(look), "") << "the barrier in line " << place.line() << " is not needed";
  }
}

// Blocks in slots of `stride` bytes, packed by the four kernels; what lies behind a block is noise.
class WarpCompact : public WarpPage {
 protected:
  void expect_packed(const std::vector<std::uint32_t>& sizes, std::uint32_t stride, unsigned seed) {
    const auto count = static_cast<std::uint32_t>(sizes.size());
    const std::uint32_t chunks = (count + kChunkPages - 1) / kChunkPages;
    std::vector<std::uint32_t> sums(chunks);
    std::vector<std::uint32_t> offsets(count);
    for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
      run([&](Warp& warp) { warp_compact_sum(warp, sizes.data(), count, chunk, sums.data()); });
    }
    const std::uint32_t begin = 7 * seed;  // what is there already
    std::uint32_t total = 0;
    run([&](Warp& warp) { total = warp_compact_scan(warp, sums.data(), chunks, begin); });
    for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
      run([&](Warp& warp) {
        warp_compact_offsets(warp, sizes.data(), count, chunk, sums[chunk], offsets.data());
      });
    }
    std::uint32_t expected = begin;
    for (std::uint32_t i = 0; i < count; ++i) {
      ASSERT_EQ(offsets[i], expected) << i;
      expected += (sizes[i] + 15) / 16;
    }
    ASSERT_EQ(total, expected);

    if (stride == 0) return;
    std::mt19937 random(seed);
    for (std::uint32_t i = 0; i < count; ++i) {
      // The slot is not readable behind its last 16 bytes, the packed block not writable.
      const std::uint32_t bytes = (sizes[i] + 15) / 16 * 16;
      std::byte* const slot = in_.last(bytes);
      std::byte* const packed = out_.last(bytes);
      for (std::uint32_t at = 0; at < bytes; ++at) slot[at] = static_cast<std::byte>(random());
      run([&](Warp& warp) { warp_compact_copy(warp, slot, sizes[i], packed); });
      ASSERT_EQ(std::memcmp(packed, slot, sizes[i]), 0);
      for (std::uint32_t at = sizes[i]; at < bytes; ++at) ASSERT_EQ(packed[at], std::byte{0});
    }
  }
};

TEST_F(WarpCompact, BlocksLieOneBehindTheOther) {
  std::mt19937 random(24);
  for (const std::size_t count : {1u, 2u, 31u, 32u, 33u, 257u}) {
    std::vector<std::uint32_t> sizes(count);
    for (std::uint32_t& size : sizes)
      size = random() % 4 == 0 ? 0 : static_cast<std::uint32_t>(random() % 4097);
    expect_packed(sizes, 4096, 25);
  }
  std::vector<std::uint32_t> each(80);
  std::iota(each.begin(), each.end(), 0);
  expect_packed(each, 4096, 26);
}

TEST_F(WarpCompact, OffsetsAreRightAcrossChunks) {
  std::mt19937 random(27);
  for (const std::size_t count : {1023u, 1024u, 1025u, 2048u, 33u * 1024 + 5}) {
    std::vector<std::uint32_t> sizes(count);
    for (std::uint32_t& size : sizes) size = static_cast<std::uint32_t>(random() % 4097);
    expect_packed(sizes, 0, 0);
  }
}

TEST_F(WarpCompact, AsManyChunksAsThereMayBeAreScanned) {
  std::vector<std::uint32_t> sums(kChunksMax, kChunkPages * 256);
  std::uint32_t total = 0;
  run([&](Warp& warp) { total = warp_compact_scan(warp, sums.data(), kChunksMax, 0); });
  EXPECT_EQ(total, kBatchPagesMax * 256);
  for (std::uint32_t i = 0; i < kChunksMax; ++i) ASSERT_EQ(sums[i], i * kChunkPages * 256);
}

TEST_F(WarpPage, CostWhatIsPromised) {
  const auto samples = test::real_pages(test::repetitions(64));
  for (const auto& sample : samples) {
    PageFeatures features;
    run([&](Warp& warp) { warp_page_features(warp, sample.bytes.data(), &features); });
  }
  const WarpCost cost("page_features",
                      {"kPageLookUnlike", "kPageLookAgain", "kPageLookNoise", "kPageFeaturesLoad",
                       "kPageFeaturesGroup", "kPageFeaturesEnd"});
  const double page = cost.of_page({}, emulator_.counters(), samples.size());
  RecordProperty("warp_instructions_a_page", std::to_string(page));
  EXPECT_LE(page, 1600);
  EXPECT_GE(page, 500) << "the phases are not counted";
}

}  // namespace
}  // namespace pleat::gpu
