// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages that zstd compresses are zstd frames for libzstd and blocks for the store; every tier makes
// the same, inside its buffers.
#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "codec/group_codec.h"
#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "codec/sample_pages.h"
#include "codec/zstd/frame.h"

namespace pleat::codec {
namespace {

using test::SamplePage;

constexpr const char* kSpecs[] = {"zstd:fast", "zstd", "zstd:3", "zstd:9", "zstd:19"};

std::size_t libzstd_size(const std::byte* page, int level) {
  std::byte frame[2 * kPageSize];
  return ZSTD_compress(frame, sizeof(frame), page, kPageSize, level);
}

// One codec for each tier.
template <typename Codec>
std::vector<Codec> open_all(const char* spec) {
  std::vector<Codec> codecs;
  for (const Kernels* tier : available_kernels()) {
    codecs.push_back(std::move(*Codec::open(spec, *tier)));
  }
  return codecs;
}

class ZstdCompress : public testing::Test {
 protected:
  ZstdCompress() {
    for (const char* spec : kSpecs) codecs_.push_back(open_all<PageCodec>(spec));
  }
  // Of every level.
  void expect_round_trips(const std::byte* bytes, const std::string& name) {
    for (std::vector<PageCodec>& codecs : codecs_) (void)expect_round_trip(bytes, name, codecs);
  }
  // The page's frame, which all tiers agree in and both decoders read; its size.
  std::size_t expect_round_trip(const std::byte* bytes, std::string name,
                                std::vector<PageCodec>& codecs) {
    name += ", " + codecs[0].spec();
    std::size_t first = 0;
    std::byte frame[kZstdFrameBound];
    for (PageCodec& codec : codecs) {
      const Kernels* const tier = &codec.kernels();
      for (const bool end : {false, true}) {
        std::byte* const page = in_.at_edge(end, kPageSize);
        std::memcpy(page, bytes, kPageSize);
        std::byte* const dst = out_.at_edge(end, kZstdFrameBound);
        const std::size_t size = codec.compress(page, dst, kZstdFrameBound);
        EXPECT_GT(size, kZstdFrameHeader) << name;
        EXPECT_LE(size, kZstdFrameBound) << name;
        if (first == 0) {
          first = size;
          std::memcpy(frame, dst, size);
        }
        EXPECT_EQ(size, first) << name << ", " << tier->name;
        EXPECT_EQ(std::memcmp(dst, frame, first), 0) << name << ", " << tier->name;
      }
    }
    std::byte back[kPageSize];
    EXPECT_EQ(ZSTD_getFrameContentSize(frame, first), kPageSize) << name;
    const std::size_t decoded = ZSTD_decompress(back, kPageSize, frame, first);
    EXPECT_EQ(decoded, kPageSize) << name << ": " << ZSTD_getErrorName(decoded);
    EXPECT_EQ(std::memcmp(back, bytes, kPageSize), 0) << name;
    for (const Kernels* tier : available_kernels()) {
      std::memset(back, 0xaa, kPageSize);
      const ZstdDecoded ours =
          decode_zstd_frame(*tier, {frame, first}, {back, kPageSize}, nullptr, *decoder_);
      EXPECT_EQ(ours.error, 0) << name << ", " << tier->name;
      EXPECT_EQ(ours.size, kPageSize) << name << ", " << tier->name;
      EXPECT_EQ(std::memcmp(back, bytes, kPageSize), 0) << name << ", " << tier->name;
    }
    return first;
  }

  std::vector<std::vector<PageCodec>> codecs_;  // as kSpecs
  std::unique_ptr<ZstdDecoder> decoder_ = std::make_unique<ZstdDecoder>();
  test::GuardedBuffer in_;
  test::GuardedBuffer out_;
};

TEST_F(ZstdCompress, LibzstdDecodesSyntheticPages) {
  for (const SamplePage& page : test::synthetic_pages()) {
    expect_round_trips(page.bytes.data(), page.name);
  }
}

TEST_F(ZstdCompress, LibzstdDecodesRealPagesWhichAreNoLongerThanItsOwn) {
  constexpr struct {
    std::size_t spec;
    int level;
    double most;
  } kPairs[] = {{1, 1, 1.01}, {2, 3, 1.005}, {3, 9, .99}, {4, 19, 1.0}};
  const std::vector<SamplePage> pages = test::real_pages(100);
  for (const auto& [spec, level, most] : kPairs) {
    double ours = 0;
    double theirs = 0;
    // The dense levels take their time.
    for (std::size_t i = 0; i < pages.size(); i += level < 9 ? 1 : 4) {
      const SamplePage& page = pages[i];
      ours += static_cast<double>(expect_round_trip(page.bytes.data(), page.name, codecs_[spec]));
      theirs += static_cast<double>(libzstd_size(page.bytes.data(), level));
    }
    EXPECT_LE(ours, most * theirs) << kSpecs[spec];
  }
}

// Literals of every shape: how many there are, how many different ones, and how skewed they are
// decide on every choice that the encoder has.
TEST_F(ZstdCompress, LibzstdDecodesPagesOfAnyLiteralsAndSequences) {
  std::mt19937 random(1);
  for (unsigned trial = 0; trial < 600; ++trial) {
    std::byte page[kPageSize];
    const std::size_t symbols = 1 + random() % (random() % 2 == 0 ? 255 : 6);
    const std::size_t skew = 1 + random() % 4;
    const std::size_t match_percent = random() % 100;
    const std::size_t reach = std::size_t{1} << random() % 12;
    for (std::size_t at = 0; at < kPageSize;) {
      if (at > 0 && random() % 100 < match_percent) {
        const std::size_t offset = 1 + random() % std::min(at, reach);
        const std::size_t length = 3 + random() % (random() % 20 == 0 ? 1000 : 20);
        for (std::size_t i = 0; i < length && at < kPageSize; ++i, ++at) {
          page[at] = page[at - offset];
        }
        continue;
      }
      for (std::size_t i = random() % 40; i < 40 && at < kPageSize; ++i, ++at) {
        double share = static_cast<double>(random() % 10'000) / 10'000;
        for (std::size_t k = 1; k < skew; ++k) share *= static_cast<double>(random() % 100) / 100;
        page[at] = static_cast<std::byte>(share * static_cast<double>(symbols));
      }
    }
    (void)expect_round_trip(page, "trial " + std::to_string(trial),
                            codecs_[trial % codecs_.size()]);
  }
}

// Many rare symbols beside a few frequent ones want codes longer than there are.
TEST_F(ZstdCompress, CodesStayShortWhereSymbolsAreRare) {
  std::mt19937 random(1);
  for (unsigned rare = 40; rare < 240; ++rare) {
    SamplePage page;
    const unsigned frequent = 3 + rare % 13;
    for (std::byte& byte : page.bytes) {
      byte =
          static_cast<std::byte>(random() % 100 < 92 ? random() % frequent : 16 + random() % rare);
    }
    (void)expect_round_trip(page.bytes.data(), std::to_string(rare) + " rare symbols",
                            codecs_[rare % codecs_.size()]);
  }
}

TEST_F(ZstdCompress, WhatDoesNotFitIsRefusedAndNothingBehindIsWritten) {
  for (const SamplePage& page : test::synthetic_pages()) {
    const std::byte* const bytes = page.bytes.data();
    for (std::vector<PageCodec>& codecs : codecs_) {
      const std::size_t size = codecs[0].compress(bytes, out_.first(), kZstdFrameBound);
      for (PageCodec& codec : codecs) {
        for (const std::size_t less : {std::size_t{1}, size / 2, size - kZstdFrameHeader, size}) {
          EXPECT_EQ(codec.compress(bytes, out_.last(size - less), size - less), 0u) << page.name;
        }
        EXPECT_EQ(codec.compress(bytes, out_.last(size), size), size);
      }
    }
  }
}

// The store's blocks are what a frame holds, without the frame.
TEST_F(ZstdCompress, TheStoresBlocksAreAFramesContent) {
  for (const Kernels* tier : available_kernels()) {
    auto codec = PageCodec::open("zstd:1", *tier);
    ASSERT_TRUE(codec);
    EXPECT_EQ(codec->spec(), "zstd");
    std::byte block[kZstdFrameBound];
    std::byte frame[kZstdFrameBound];
    std::byte back[kPageSize];
    for (const SamplePage& page : test::synthetic_pages()) {
      const Encoded encoded = codec->encode(page.bytes.data(), block, sizeof(block));
      const std::size_t size = codec->compress(page.bytes.data(), frame, sizeof(frame));
      if (encoded.size == 0) {
        EXPECT_EQ(size, kZstdFrameBound);
        continue;
      }
      ASSERT_EQ(encoded.id, CodecId::kZstd);
      ASSERT_EQ(size, kZstdFrameHeader + encoded.size);
      EXPECT_EQ(std::memcmp(frame + kZstdFrameHeader, block, encoded.size), 0);
      std::byte* const exact = in_.last(encoded.size);
      std::memcpy(exact, block, encoded.size);
      ASSERT_TRUE(codec->decode(encoded.id, exact, encoded.size, back)) << page.name;
      EXPECT_EQ(std::memcmp(back, page.bytes.data(), kPageSize), 0);
      EXPECT_FALSE(codec->decode(encoded.id, exact + 1, encoded.size - 1, back));
      EXPECT_FALSE(codec->decode(CodecId::kLz4, exact, encoded.size, back));
    }
  }
}

// A block of the store has nothing before it that could be read, as a frame's has its header.
TEST_F(ZstdCompress, NothingBeforeABlockIsRead) {
  std::mt19937 random(1);
  std::byte page[kPageSize];
  const auto decode_at_both_edges = [&](const std::byte* block, std::size_t size) {
    for (const Kernels* tier : available_kernels()) {
      for (const bool end : {false, true}) {
        std::byte* const src = in_.at_edge(end, size);
        std::memcpy(src, block, size);
        (void)decode_page(*tier, CodecId::kZstd, src, size, page);
        (void)decode_group(*tier, CodecId::kZstd, src, size, out_.first(), kGroupPages);
      }
    }
  };
  for (const SamplePage& sample : test::synthetic_pages()) {
    for (std::vector<PageCodec>& codecs : codecs_) {
      std::byte block[kPageSize];
      const std::size_t size = codecs[0].encode(sample.bytes.data(), block, sizeof(block)).size;
      if (size != 0) decode_at_both_edges(block, size);
    }
  }
  // Few literals, predefined tables, and any stream: of few bits, or fewer than the states take.
  for (unsigned trial = 0; trial < 20'000; ++trial) {
    const std::size_t literals = random() % 4;
    std::vector<std::byte> block = {static_cast<std::byte>(literals << 3)};
    for (std::size_t i = 0; i < literals; ++i) block.push_back(std::byte{1});
    block.push_back(static_cast<std::byte>(1 + random() % 5));  // sequences
    block.push_back(std::byte{0});
    for (std::size_t i = random() % 12; i > 0; --i)
      block.push_back(static_cast<std::byte>(random()));
    block.push_back(static_cast<std::byte>(1 + random() % 255));
    decode_at_both_edges(block.data(), block.size());
  }
}

// Frames of others are read where they are one page, and only there.
TEST_F(ZstdCompress, FramesOfLibzstdAreDecompressed) {
  auto codec = PageCodec::open("zstd", *available_kernels().back());
  ASSERT_TRUE(codec);
  std::byte back[kPageSize];
  for (const SamplePage& page : test::synthetic_pages()) {
    for (const int level : {-3, 1, 19}) {
      std::byte frame[2 * kPageSize];
      std::size_t size = ZSTD_compress(frame, sizeof(frame), page.bytes.data(), kPageSize, level);
      ASSERT_TRUE(codec->decompress(frame, size, back)) << page.name;
      EXPECT_EQ(std::memcmp(back, page.bytes.data(), kPageSize), 0);
      size = ZSTD_compress(frame, sizeof(frame), page.bytes.data(), kPageSize - 1, level);
      EXPECT_FALSE(codec->decompress(frame, size, back)) << page.name;
    }
  }
}

// A group's block in a frame of its own, for libzstd.
std::vector<std::byte> frame_of_group(const std::vector<std::byte>& block) {
  const auto size = static_cast<std::uint32_t>(block.size() << 3 | 5);
  std::vector<std::byte> frame;
  for (const std::uint32_t byte :
       {0x28u, 0xb5u, 0x2fu, 0xfdu, 0x60u, 0x00u, 0x3fu, size & 255, size >> 8 & 255, size >> 16}) {
    frame.push_back(static_cast<std::byte>(byte));
  }
  frame.insert(frame.end(), block.begin(), block.end());
  return frame;
}

class ZstdCompressGroup : public ZstdCompress, public testing::WithParamInterface<const char*> {};

TEST_P(ZstdCompressGroup, LibzstdDecodesGroups) {
  std::vector<GroupCodec> codecs = open_all<GroupCodec>(GetParam());
  std::vector<std::byte> back(kGroupBytes);
  for (const test::SampleGroup& group : test::sample_groups()) {
    std::vector<std::byte> first;
    for (std::size_t i = 0; i < codecs.size(); ++i) {
      const Kernels* const tier = available_kernels()[i];
      SCOPED_TRACE(group.name + ", " + tier->name);
      std::vector<std::byte> block(kGroupBytes);
      block.resize(codecs[i].encode(group.bytes.data(), block.data(), block.size()).size);
      if (first.empty()) first = block;
      ASSERT_EQ(block, first);
      if (block.empty()) continue;
      for (std::size_t pages = 1; pages <= kGroupPages; ++pages) {
        std::byte* const src = in_.last(block.size());
        std::memcpy(src, block.data(), block.size());
        std::byte* const dst = out_.first();
        std::memset(dst, 0xa5, kGroupBytes);
        ASSERT_TRUE(decode_group(*tier, CodecId::kZstd, src, block.size(), dst, pages)) << pages;
        ASSERT_EQ(std::memcmp(dst, group.bytes.data(), pages * kPageSize), 0) << pages;
        ASSERT_FALSE(decode_group(*tier, CodecId::kZstd, src, block.size() - 1, dst, 4));
      }
      EXPECT_EQ(
          codecs[i].encode(group.bytes.data(), out_.last(block.size() - 1), block.size() - 1).size,
          0u);
    }
    if (first.empty()) continue;
    const auto frame = frame_of_group(first);
    const std::size_t size = ZSTD_decompress(back.data(), kGroupBytes, frame.data(), frame.size());
    ASSERT_EQ(size, kGroupBytes) << group.name << ": " << ZSTD_getErrorName(size);
    ASSERT_EQ(std::memcmp(back.data(), group.bytes.data(), kGroupBytes), 0) << group.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, ZstdCompressGroup, testing::ValuesIn(kSpecs));

// A damaged block of a group yields some pages or none, and nothing outside is touched.
TEST_F(ZstdCompress, DamagedGroupsAreContained) {
  std::vector<GroupCodec> codecs = open_all<GroupCodec>("zstd");
  std::mt19937 random(1);
  const auto groups = test::sample_groups();
  std::vector<std::byte> block(kGroupBytes);
  for (unsigned trial = 0; trial < 20'000; ++trial) {
    const test::SampleGroup& group = groups[random() % groups.size()];
    const std::size_t chosen = random() % codecs.size();
    const Kernels& tier = *available_kernels()[chosen];
    if (trial % 16 == 0 || block.empty()) {
      block.resize(kGroupBytes);
      block.resize(codecs[chosen].encode(group.bytes.data(), block.data(), block.size()).size);
      if (block.empty()) continue;
    }
    std::byte* const src = in_.at_edge(trial % 2 == 0, block.size());
    std::memcpy(src, block.data(), block.size());
    for (std::size_t flips = 1 + random() % 3; flips > 0; --flips) {
      src[random() % block.size()] ^= static_cast<std::byte>(1u << random() % 8);
    }
    const std::size_t pages = 1 + random() % kGroupPages;
    (void)decode_group(tier, CodecId::kZstd, src, block.size(), out_.first(), pages);
    const std::size_t less = random() % block.size();
    std::memmove(src + block.size() - less, src, less);
    (void)decode_group(tier, CodecId::kZstd, src + block.size() - less, less, out_.first(), pages);
  }
}

// Two literals and two sequences of one code each, whose further bits are not there.
TEST_F(ZstdCompress, APartOfAGroupIsNotReadFromBitsThatAreNotThere) {
  constexpr unsigned char kBlock[] = {0x10, 0x61, 0x62, 0x02, 0x54, 0x01, 0x00, 0x31, 0x01};
  std::byte* const src = in_.last(sizeof(kBlock));
  std::memcpy(src, kBlock, sizeof(kBlock));
  for (const Kernels* tier : available_kernels()) {
    for (std::size_t pages = 1; pages <= kGroupPages; ++pages) {
      EXPECT_FALSE(decode_group(*tier, CodecId::kZstd, src, sizeof(kBlock), out_.first(), pages));
    }
  }
}

}  // namespace
}  // namespace pleat::codec
