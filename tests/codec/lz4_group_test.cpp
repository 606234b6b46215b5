// SPDX-License-Identifier: MIT OR Apache-2.0
// Groups of pages as one LZ4 block: every decoder gets them back, a part of them as well, and
// whatever the input nothing outside the buffers is touched.
#include <gtest/gtest.h>
#include <lz4.h>
#include <lz4hc.h>

#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "codec/chars.h"
#include "codec/group_codec.h"
#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/lz4/format.h"
#include "codec/lz4/hc_workspace.h"
#include "codec/sample_pages.h"
#include "reference/lz4_reference.h"
#include "repetitions.h"

namespace pleat::codec {
namespace {

using test::chars;
using test::GuardedBuffer;
using test::sample_groups;
using test::SampleGroup;

struct GroupWorkspaces {
  std::unique_ptr<Lz4GroupWorkspace> lz4 = std::make_unique<Lz4GroupWorkspace>();
  std::unique_ptr<Lz4HcGroupWorkspace> lz4hc = std::make_unique<Lz4HcGroupWorkspace>();

  std::size_t compress(const Kernels& tier, bool dense, const std::byte* group, std::byte* dst,
                       std::size_t capacity) {
    if (!dense) return tier.lz4_compress_group(group, dst, capacity, *lz4);
    const std::size_t size = tier.lz4hc_compress_group(group, dst, capacity, *lz4hc);
    EXPECT_LE(lz4hc->work, kGroupPages * kLz4HcWorkMost);
    return size;
  }
};

TEST(Lz4Group, EveryDecoderGetsItBackAndEveryTierMakesTheSameBlock) {
  GroupWorkspaces workspaces;
  std::vector<std::byte> block(kLz4GroupBound);
  std::array<std::byte, kGroupBytes> back;
  for (const SampleGroup& sample : sample_groups()) {
    for (const bool dense : {false, true}) {
      std::vector<std::byte> first;
      for (const Kernels* tier : available_kernels()) {
        SCOPED_TRACE(std::string(tier->name) + (dense ? ", lz4hc, " : ", lz4, ") + sample.name);
        const std::size_t size =
            workspaces.compress(*tier, dense, sample.bytes.data(), block.data(), kLz4GroupBound);
        ASSERT_GT(size, 0u);
        if (first.empty()) {
          first.assign(block.data(), block.data() + size);
          ASSERT_EQ(LZ4_decompress_safe(chars(first.data()), chars(back.data()),
                                        static_cast<int>(size), static_cast<int>(kGroupBytes)),
                    static_cast<int>(kGroupBytes));
          ASSERT_EQ(back, sample.bytes);
          const auto reference = reference::decode_lz4(first, kGroupBytes);
          ASSERT_EQ(reference.error, nullptr) << reference.error;
        }
        ASSERT_EQ(size, first.size());
        ASSERT_EQ(std::memcmp(block.data(), first.data(), size), 0);
        for (std::size_t pages = 1; pages <= kGroupPages; ++pages) {
          back.fill(std::byte{0xa5});
          ASSERT_TRUE(tier->lz4_decompress_group(first.data(), size, back.data(), pages));
          ASSERT_EQ(std::memcmp(back.data(), sample.bytes.data(), pages * kPageSize), 0) << pages;
        }
      }
    }
  }
}

TEST(Lz4Group, WeDecodeEveryBlockOfLiblz4) {
  std::vector<std::byte> block(LZ4_COMPRESSBOUND(kGroupBytes));
  std::array<std::byte, kGroupBytes> back;
  for (const SampleGroup& sample : sample_groups()) {
    for (const int level : {0, 3, 9, 12}) {
      const char* const from = chars(sample.bytes.data());
      const int room = static_cast<int>(block.size());
      const int bytes = static_cast<int>(kGroupBytes);
      const int size = level == 0 ? LZ4_compress_default(from, chars(block.data()), bytes, room)
                                  : LZ4_compress_HC(from, chars(block.data()), bytes, room, level);
      for (const Kernels* tier : available_kernels()) {
        for (std::size_t pages = 1; pages <= kGroupPages; ++pages) {
          back.fill(std::byte{0xa5});
          ASSERT_TRUE(tier->lz4_decompress_group(block.data(), static_cast<std::size_t>(size),
                                                 back.data(), pages))
              << sample.name << ", " << level;
          ASSERT_EQ(std::memcmp(back.data(), sample.bytes.data(), pages * kPageSize), 0);
        }
      }
    }
  }
}

// By real groups where there are some: what the format is for.
TEST(Lz4Group, SavesWhatPagesHaveInCommon) {
  GroupWorkspaces workspaces;
  const auto page_workspace = std::make_unique<Lz4HcWorkspace>();
  const Kernels& tier = *available_kernels().back();
  std::vector<std::byte> block(kLz4GroupBound);
  double singly = 0;
  double together = 0;
  for (const SampleGroup& sample : sample_groups()) {
    double sum = 0;
    for (std::size_t k = 0; k < kGroupPages; ++k) {
      sum += static_cast<double>(tier.lz4hc_compress(sample.bytes.data() + k * kPageSize,
                                                     block.data(), kLz4Bound, *page_workspace));
    }
    const auto size = static_cast<double>(
        workspaces.compress(tier, true, sample.bytes.data(), block.data(), kLz4GroupBound));
    // Where they have nothing in common it takes no more, but for the choice of matches.
    EXPECT_LT(size, sum * 1.01 + 16) << sample.name;
    singly += sum;
    together += size;
  }
  EXPECT_LT(together, singly * 0.9);
}

TEST(Lz4Group, StaysInsideItsBuffersAndEveryCapacityFitsOrGivesUp) {
  const GuardedBuffer in;
  const GuardedBuffer out;
  GroupWorkspaces workspaces;
  const auto groups = sample_groups();
  std::vector<std::byte> whole(kLz4GroupBound);
  for (const Kernels* tier : available_kernels()) {
    for (const SampleGroup& sample : groups) {
      for (const bool dense : {false, true}) {
        SCOPED_TRACE(std::string(tier->name) + (dense ? ", lz4hc, " : ", lz4, ") + sample.name);
        // As large as the accessible memory.
        std::byte* const group = in.first();
        std::memcpy(group, sample.bytes.data(), kGroupBytes);
        const std::size_t size =
            workspaces.compress(*tier, dense, group, whole.data(), whole.size());
        if (size > GuardedBuffer::kBytes) continue;
        for (const bool end : {false, true}) {
          std::byte* const exact = out.at_edge(end, size);
          ASSERT_EQ(workspaces.compress(*tier, dense, group, exact, size), size);
          ASSERT_EQ(std::memcmp(exact, whole.data(), size), 0);
          ASSERT_EQ(workspaces.compress(*tier, dense, group, out.at_edge(end, size - 1), size - 1),
                    0u);
        }
      }
    }
  }
}

// Good as a whole where the reference says so; of a part, the bytes are the reference's.
void expect_group_as_reference(const std::vector<std::byte>& block, const GuardedBuffer& in,
                               const GuardedBuffer& out) {
  const auto reference = reference::decode_lz4(block, kGroupBytes);
  for (const Kernels* tier : available_kernels()) {
    for (const bool end : {false, true}) {
      std::byte* const src = in.at_edge(end, block.size());
      if (!block.empty()) std::memcpy(src, block.data(), block.size());
      for (std::size_t pages = 1; pages <= kGroupPages; ++pages) {
        std::byte* const group = out.first();
        const bool good = tier->lz4_decompress_group(src, block.size(), group, pages);
        if (pages == kGroupPages || reference.error == nullptr) {
          ASSERT_EQ(good, reference.error == nullptr) << tier->name << ", " << pages << " pages";
        }
        if (!good) continue;
        ASSERT_GE(reference.page.size(), pages * kPageSize) << reference.error;
        ASSERT_EQ(std::memcmp(group, reference.page.data(), pages * kPageSize), 0);
      }
    }
  }
}

TEST(Lz4Group, DamagedAndTruncatedBlocksAreDecodedAsTheReferenceDoesOrRefused) {
  const GuardedBuffer in;
  const GuardedBuffer out;
  GroupWorkspaces workspaces;
  const Kernels& tier = *available_kernels().back();
  std::mt19937 random(2);
  std::vector<std::byte> block(kLz4GroupBound);
  const auto groups = sample_groups();
  for (std::size_t i = 0; i < groups.size(); i += 7) {
    SCOPED_TRACE(groups[i].name);
    block.resize(kLz4GroupBound);
    block.resize(
        workspaces.compress(tier, true, groups[i].bytes.data(), block.data(), kLz4GroupBound));
    if (block.size() > GuardedBuffer::kBytes) continue;
    for (unsigned round = 0; round < test::repetitions(60); ++round) {
      std::vector<std::byte> damaged = block;
      if (round % 3 == 0) damaged.resize(random() % block.size());
      for (std::size_t flips = random() % 3; flips > 0 && !damaged.empty(); --flips) {
        damaged[random() % damaged.size()] ^= static_cast<std::byte>(1u << random() % 8);
      }
      expect_group_as_reference(damaged, in, out);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(GroupCodec, KnowsItsNamesAndItsOption) {
  const Kernels& kernels = *available_kernels().back();
  for (const char* name : {"lz4", "lz4hc", "zstd", "zstd:3", "zstd:9", "zstd:19"}) {
    EXPECT_TRUE(GroupCodec::open(name, kernels)) << name;
  }
  for (const char* name : {"line", "lz4:fast", "zip", ""}) {
    const auto codec = GroupCodec::open(name, kernels);
    ASSERT_FALSE(codec) << name;
    EXPECT_EQ(codec.error().code, EINVAL);
  }
  auto split = split_block_option("line:2,block=16384,fallback=lz4");
  ASSERT_TRUE(split);
  EXPECT_EQ(split->spec, "line:2,fallback=lz4");
  EXPECT_TRUE(split->groups);
  split = split_block_option("lz4hc");
  ASSERT_TRUE(split);
  EXPECT_EQ(split->spec, "lz4hc");
  EXPECT_FALSE(split->groups);
  for (const char* spec : {"lz4,block=8192", "lz4,block", "lz4,block=16384,block=16384"}) {
    EXPECT_EQ(split_block_option(spec).error().code, EINVAL) << spec;
  }
}

TEST(GroupCodec, DecodesWhatItEncodedAndNothingElse) {
  const Kernels& kernels = *available_kernels().back();
  const auto groups = sample_groups();
  std::vector<std::byte> block(kLz4GroupBound);
  std::array<std::byte, kGroupBytes> back;
  for (const char* name : {"lz4", "lz4hc", "zstd", "zstd:3", "zstd:9", "zstd:19"}) {
    auto codec = GroupCodec::open(name, kernels);
    ASSERT_TRUE(codec);
    const Encoded encoded = codec->encode(groups[0].bytes.data(), block.data(), block.size());
    ASSERT_GT(encoded.size, 0u);
    ASSERT_TRUE(decode_group(kernels, encoded.id, block.data(), encoded.size, back.data(), 4));
    EXPECT_EQ(back, groups[0].bytes);
    for (const CodecId id : {CodecId::kRaw, CodecId::kLine, static_cast<CodecId>(9)}) {
      EXPECT_FALSE(decode_group(kernels, id, block.data(), encoded.size, back.data(), 4));
    }
    EXPECT_EQ(codec->encode(groups[0].bytes.data(), block.data(), encoded.size - 1).size, 0u);
  }
}

}  // namespace
}  // namespace pleat::codec
