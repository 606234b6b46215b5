// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages by a dictionary's tables: libzstd decodes them with that dictionary, every tier writes the
// same, inside its buffers; and dictionaries that are no good are refused.
#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zdict.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>

#include "base/bytes.h"
#include "codec/group_codec.h"
#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "codec/sample_pages.h"
#include "codec/zstd/canned_dictionary.h"
#include "codec/zstd/train_tables.h"
#include "codec/zstd/xxh64.h"

namespace pleat::codec {
namespace {

using test::SamplePage;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

constexpr ZstdTables kBoth[] = {ZstdTables::kCanned, ZstdTables::kMixed};

Bytes bytes_of(const std::vector<SamplePage>& pages) {
  Bytes bytes;
  for (const SamplePage& page : pages) {
    bytes.insert(bytes.end(), page.bytes.begin(), page.bytes.end());
  }
  return bytes;
}

Bytes trained(const Bytes& pages) {
  const ZstdTrainingSet set = pages;
  auto dictionary = train_zstd_dictionary({&set, 1}, *available_kernels().back());
  EXPECT_TRUE(dictionary);
  return dictionary ? *dictionary : Bytes();
}

// A file that is removed again.
class File {
 public:
  explicit File(const Bytes& bytes) {
    close(mkstemp(path_.data()));
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/pleat-dictionary-XXXXXX";
};

class ZstdCanned : public testing::Test {
 protected:
  ZstdCanned() : trained_bytes_(trained(bytes_of(test::synthetic_pages()))) {
    EXPECT_TRUE(trained_.read(trained_bytes_));
  }

  // By the built-in dictionary and another one.
  void expect_round_trip(const std::byte* bytes, const std::string& name) {
    const ZstdCannedDictionary& built_in = ZstdCannedDictionary::built_in();
    for (const ZstdTables tables : kBoth) {
      expect_round_trip(bytes, tables, built_in, built_in_zstd_dictionary(), name);
      expect_round_trip(bytes, tables, trained_, trained_bytes_, name + ", trained");
    }
  }

  std::size_t write_frame(const Kernels& kernels, const std::byte* page, std::byte* dst,
                          std::size_t capacity, ZstdTables tables,
                          const ZstdCannedDictionary& canned) {
    return write_zstd_frame(
        page, dst, capacity, canned.dictionary().id(), [&](std::byte* to, std::size_t room) {
          return kernels.zstd_compress_canned(page, to, room, tables, canned.tables(), *encoder_);
        });
  }

  // The page's frame, in which all tiers agree and which both decoders read; its size.
  std::size_t expect_round_trip(const std::byte* bytes, ZstdTables tables,
                                const ZstdCannedDictionary& canned,
                                std::span<const std::byte> dictionary, const std::string& name) {
    SCOPED_TRACE(name + (tables == ZstdTables::kMixed ? ", mixed" : ", canned"));
    std::size_t first = 0;
    std::byte frame[kZstdFrameBound];
    for (const Kernels* tier : available_kernels()) {
      for (const bool end : {false, true}) {
        std::byte* const page = in_.at_edge(end, kPageSize);
        std::memcpy(page, bytes, kPageSize);
        std::byte* const dst = out_.at_edge(end, kZstdFrameBound);
        const std::size_t size = write_frame(*tier, page, dst, kZstdFrameBound, tables, canned);
        EXPECT_GT(size, kZstdFrameHeader);
        EXPECT_LE(size, kZstdFrameBound);
        if (first == 0) {
          first = size;
          std::memcpy(frame, dst, size);
        }
        EXPECT_EQ(size, first) << tier->name;
        EXPECT_EQ(std::memcmp(dst, frame, first), 0) << tier->name;
      }
      // What does not fit is refused, and nothing behind is written.
      for (const std::size_t less : {std::size_t{1}, first / 2, first - kZstdFrameHeader, first}) {
        EXPECT_EQ(write_frame(*tier, bytes, out_.last(first - less), first - less, tables, canned),
                  0u);
      }
      EXPECT_EQ(write_frame(*tier, bytes, out_.last(first), first, tables, canned), first);
    }
    // A page that becomes no shorter needs no dictionary.
    const std::uint32_t id = first == kZstdFrameBound ? 0 : canned.dictionary().id();
    EXPECT_EQ(ZSTD_getDictID_fromFrame(frame, first), id);
    EXPECT_EQ(ZSTD_getFrameContentSize(frame, first), kPageSize);
    std::byte back[kPageSize];
    const std::size_t decoded = ZSTD_decompress_usingDict(
        libzstd_.get(), back, kPageSize, frame, first, dictionary.data(), dictionary.size());
    EXPECT_EQ(decoded, kPageSize) << ZSTD_getErrorName(decoded);
    EXPECT_EQ(std::memcmp(back, bytes, kPageSize), 0);
    for (const Kernels* tier : available_kernels()) {
      std::memset(back, 0xaa, kPageSize);
      const ZstdDecoded ours = decode_zstd_frame(*tier, {frame, first}, {back, kPageSize},
                                                 &canned.dictionary(), *decoder_);
      EXPECT_EQ(ours.error, 0) << tier->name;
      EXPECT_EQ(ours.size, kPageSize) << tier->name;
      EXPECT_EQ(std::memcmp(back, bytes, kPageSize), 0) << tier->name;
    }
    return first;
  }

  Bytes trained_bytes_;
  ZstdCannedDictionary trained_;
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> libzstd_{ZSTD_createDCtx(), ZSTD_freeDCtx};
  std::unique_ptr<ZstdEncoder> encoder_ = std::make_unique<ZstdEncoder>();
  std::unique_ptr<ZstdDecoder> decoder_ = std::make_unique<ZstdDecoder>();
  test::GuardedBuffer in_;
  test::GuardedBuffer out_;
};

TEST_F(ZstdCanned, LibzstdDecodesSyntheticPages) {
  for (const SamplePage& page : test::synthetic_pages()) {
    expect_round_trip(page.bytes.data(), page.name);
  }
}

// Literals and sequences of every shape, among them those that tables of their own are far better
// for, and those that no table is good for.
TEST_F(ZstdCanned, LibzstdDecodesPagesOfAnyLiteralsAndSequences) {
  std::mt19937 random(1);
  for (unsigned trial = 0; trial < 300; ++trial) {
    std::byte page[kPageSize];
    const std::size_t symbols = 1 + random() % (random() % 2 == 0 ? 255 : 6);
    const std::size_t first = random() % 256;
    const std::size_t match_percent = random() % 100;
    const std::size_t reach = std::size_t{1} << random() % 12;
    const std::size_t longest = 4 + random() % (random() % 8 == 0 ? 1000 : 20);
    for (std::size_t at = 0; at < kPageSize;) {
      if (at > 0 && random() % 100 < match_percent) {
        const std::size_t offset = 1 + random() % std::min(at, reach);
        for (std::size_t i = 0; i < longest && at < kPageSize; ++i, ++at) {
          page[at] = page[at - offset];
        }
      }
      for (std::size_t i = random() % 40; i < 40 && at < kPageSize; ++i, ++at) {
        page[at] = static_cast<std::byte>(first + random() % symbols * (random() % 100) / 100);
      }
    }
    expect_round_trip(page, "trial " + std::to_string(trial));
  }
}

TEST_F(ZstdCanned, RealPagesAreSmallerMixedAndLittleLargerCanned) {
  double own = 0;
  double canned = 0;
  double mixed = 0;
  auto plain = PageCodec::open("zstd", *available_kernels().back());
  ASSERT_TRUE(plain);
  const ZstdCannedDictionary& built_in = ZstdCannedDictionary::built_in();
  for (const SamplePage& page : test::real_pages(100)) {
    std::byte frame[kZstdFrameBound];
    own += static_cast<double>(plain->compress(page.bytes.data(), frame, sizeof(frame)));
    canned += static_cast<double>(expect_round_trip(
        page.bytes.data(), ZstdTables::kCanned, built_in, built_in_zstd_dictionary(), page.name));
    mixed += static_cast<double>(expect_round_trip(page.bytes.data(), ZstdTables::kMixed, built_in,
                                                   built_in_zstd_dictionary(), page.name));
  }
  EXPECT_LT(mixed, own);
  EXPECT_LT(canned, own * 1.1);
}

TEST_F(ZstdCanned, TheBuiltInDictionaryIsThatOfTheFormatDescription) {
  const auto bytes = built_in_zstd_dictionary();
  EXPECT_EQ(bytes.size(), 166u);
  EXPECT_EQ(ZstdCannedDictionary::built_in().dictionary().id(), 43496u);
  EXPECT_EQ(ZSTD_getDictID_fromDict(bytes.data(), bytes.size()), 43496u);
  // Pages that were stored by it have to be read for ever.
  EXPECT_EQ(xxh64(bytes), 12365757478794147777u);
}

// The store keeps blocks without frames, and knows by their number what decodes them.
TEST_F(ZstdCanned, TheStoresBlocksAreDecodedByTheBuiltInTables) {
  for (const Kernels* tier : available_kernels()) {
    for (const char* spec : {"zstd,tables=canned", "zstd:1,tables=mixed"}) {
      auto codec = PageCodec::open(spec, *tier);
      ASSERT_TRUE(codec);
      EXPECT_TRUE(codec->stands_alone());
      auto plain = PageCodec::open("zstd", *tier);
      for (const SamplePage& page : test::synthetic_pages()) {
        std::byte block[kPageSize];
        const Encoded encoded = codec->encode(page.bytes.data(), block, sizeof(block));
        if (encoded.size == 0) continue;
        ASSERT_EQ(encoded.id, CodecId::kZstdCanned);
        std::byte* const exact = in_.last(encoded.size);
        std::memcpy(exact, block, encoded.size);
        std::byte* const back = out_.last(kPageSize);
        ASSERT_TRUE(decode_page(*tier, encoded.id, exact, encoded.size, back)) << page.name;
        EXPECT_EQ(std::memcmp(back, page.bytes.data(), kPageSize), 0) << page.name;
        ASSERT_TRUE(codec->decode(encoded.id, exact, encoded.size, back)) << page.name;
        EXPECT_FALSE(plain->decode(encoded.id, exact, encoded.size, back)) << page.name;
        EXPECT_FALSE(codec->decode(encoded.id, exact + 1, encoded.size - 1, back)) << page.name;
        EXPECT_EQ(
            codec->encode(page.bytes.data(), out_.last(encoded.size - 1), encoded.size - 1).size,
            0u);
      }
    }
  }
}

TEST_F(ZstdCanned, DamagedBlocksAreContained) {
  std::mt19937 random(1);
  const auto pages = test::real_pages(10);
  for (unsigned trial = 0; trial < 20'000; ++trial) {
    const Kernels& tier = *available_kernels()[random() % available_kernels().size()];
    std::byte block[kPageSize];
    const std::size_t size = tier.zstd_compress_canned(
        pages[random() % pages.size()].bytes.data(), block, sizeof(block), kBoth[trial % 2],
        ZstdCannedDictionary::built_in().tables(), *encoder_);
    if (size == 0) continue;
    for (std::size_t flips = 1 + random() % 3; flips > 0; --flips) {
      block[random() % size] ^= static_cast<std::byte>(1u << random() % 8);
    }
    const std::size_t part = random() % 4 == 0 ? random() % size : size;
    std::byte* const src = in_.last(part);
    std::memcpy(src, block, part);
    (void)decode_page(tier, CodecId::kZstdCanned, src, part, out_.at_edge(trial % 2, kPageSize));
  }
}

TEST_F(ZstdCanned, AFilesDictionaryIsUsedAndNamed) {
  const File file(trained_bytes_);
  const Kernels& tier = *available_kernels().back();
  auto codec = PageCodec::open("zstd,dict=" + file.path(), tier);
  ASSERT_TRUE(codec) << codec.error().message;
  EXPECT_EQ(codec->spec(), "zstd,tables=canned,dict=" + file.path());
  EXPECT_FALSE(codec->stands_alone());
  EXPECT_LE(codec->workspace_bytes(), 64u * 1024);
  auto mixed = PageCodec::open("zstd:1,dict=" + file.path() + ",tables=mixed", tier);
  ASSERT_TRUE(mixed) << mixed.error().message;
  EXPECT_EQ(mixed->spec(), "zstd,tables=mixed,dict=" + file.path());
  auto built_in = PageCodec::open("zstd,tables=canned", tier);
  auto plain = PageCodec::open("zstd", tier);
  for (const SamplePage& page : test::synthetic_pages()) {
    std::byte frame[kZstdFrameBound];
    std::byte back[kPageSize];
    ASSERT_LE(codec->bound(), sizeof(frame));
    const std::size_t size = codec->compress(page.bytes.data(), frame, sizeof(frame));
    for (PageCodec* one : {&*codec, &*mixed}) {
      ASSERT_TRUE(one->decompress(frame, size, back)) << page.name;
      EXPECT_EQ(std::memcmp(back, page.bytes.data(), kPageSize), 0) << page.name;
    }
    // Others cannot read it, unless it is the page as it is; and frames without one they can.
    const bool is_raw = size == kZstdFrameBound;
    EXPECT_EQ(built_in->decompress(frame, size, back), is_raw) << page.name;
    EXPECT_EQ(plain->decompress(frame, size, back), is_raw) << page.name;
    const std::size_t plain_size = plain->compress(page.bytes.data(), frame, sizeof(frame));
    EXPECT_TRUE(codec->decompress(frame, plain_size, back)) << page.name;
    // Blocks without a frame are its own, too.
    const Encoded encoded = codec->encode(page.bytes.data(), frame, sizeof(frame));
    if (encoded.size == 0) continue;
    ASSERT_TRUE(codec->decode(encoded.id, frame, encoded.size, back)) << page.name;
    EXPECT_EQ(std::memcmp(back, page.bytes.data(), kPageSize), 0) << page.name;
  }
}

void expect_refused(const std::string& spec, int code, const std::string& message) {
  auto codec = PageCodec::open(spec, *available_kernels().back());
  ASSERT_FALSE(codec) << spec;
  EXPECT_EQ(codec.error().code, code) << spec;
  EXPECT_THAT(codec.error().message, HasSubstr(message)) << spec;
}

TEST_F(ZstdCanned, WhatIsNoDictionaryIsRefused) {
  const std::string useless = "is not a zstd dictionary that pages can be compressed by";
  expect_refused("zstd,dict=/nowhere/x.dict", ENOENT, "cannot open the dictionary /nowhere/x.dict");
  expect_refused("zstd,dict=/tmp", EINVAL, useless);
  expect_refused("zstd,dict=/dev/zero", EINVAL, useless);
  const File empty({});
  expect_refused("zstd,dict=" + empty.path(), EINVAL, useless);
  // Content alone, which has no tables.
  const File content(Bytes(1000, std::byte{7}));
  expect_refused("zstd,dict=" + content.path(), EINVAL, useless);
  Bytes large = trained_bytes_;
  large.resize((std::size_t{1} << 20) + 1);
  const File too_large(large);
  expect_refused("zstd,dict=" + too_large.path(), EINVAL, useless);
  // One that nobody writes to must not be waited for.
  const std::string fifo = empty.path() + ".fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  expect_refused("zstd,dict=" + fifo, EINVAL, useless);
  unlink(fifo.c_str());
}

// libzstd's dictionaries of a few pages lack symbols that other pages have.
TEST_F(ZstdCanned, ADictionaryThatLacksSymbolsIsRefused) {
  const Bytes samples(16 * kPageSize, std::byte{1});
  const std::vector<std::size_t> sizes(16, kPageSize);
  const Bytes content(8, std::byte{0});
  Bytes dictionary(4096);
  const ZDICT_params_t parameters = {1, 0, 40000};
  const std::size_t size =
      ZDICT_finalizeDictionary(dictionary.data(), dictionary.size(), content.data(), content.size(),
                               samples.data(), sizes.data(), 16, parameters);
  ASSERT_FALSE(ZDICT_isError(size)) << ZDICT_getErrorName(size);
  dictionary.resize(size);
  EXPECT_TRUE(ZstdDictionary::open(dictionary));
  ZstdCannedDictionary canned;
  EXPECT_FALSE(canned.read(dictionary));
}

// Whatever a damaged dictionary has become, it is refused or good to write and read by.
TEST_F(ZstdCanned, DamagedDictionariesAreRefusedOrSound) {
  std::mt19937 random(1);
  const auto pages = test::synthetic_pages();
  unsigned refused = 0;
  for (unsigned trial = 0; trial < 2'000; ++trial) {
    Bytes damaged = trained_bytes_;
    for (std::size_t flips = 1 + random() % 2; flips > 0; --flips) {
      damaged[random() % damaged.size()] ^= static_cast<std::byte>(1u << random() % 8);
    }
    if (random() % 4 == 0) damaged.resize(random() % damaged.size());
    std::byte* const exact = in_.last(damaged.size());
    if (!damaged.empty()) std::memcpy(exact, damaged.data(), damaged.size());
    const auto canned = std::make_unique<ZstdCannedDictionary>();
    if (!canned->read({exact, damaged.size()})) {
      ++refused;
      continue;
    }
    const SamplePage& page = pages[random() % pages.size()];
    for (const ZstdTables tables : kBoth) {
      std::byte frame[kZstdFrameBound];
      const std::size_t size = write_frame(*available_kernels().back(), page.bytes.data(), frame,
                                           sizeof(frame), tables, *canned);
      std::byte back[kPageSize];
      const ZstdDecoded decoded =
          decode_zstd_frame(*available_kernels().back(), {frame, size}, {back, kPageSize},
                            &canned->dictionary(), *decoder_);
      ASSERT_EQ(decoded.error, 0) << trial;
      ASSERT_EQ(std::memcmp(back, page.bytes.data(), kPageSize), 0) << trial;
    }
  }
  EXPECT_GT(refused, 500u);
}

TEST_F(ZstdCanned, GroupsHaveTablesOfTheirOwn) {
  auto split = split_block_option("zstd,tables=canned,block=16384");
  ASSERT_TRUE(split);
  EXPECT_TRUE(split->groups);
  auto groups = GroupCodec::open(split->spec, *available_kernels().back());
  ASSERT_FALSE(groups);
  EXPECT_THAT(groups.error().message, HasSubstr("has no blocks of 16384 bytes"));
}

TEST_F(ZstdCanned, TrainingIsDeterministic) {
  const Kernels& tier = *available_kernels().back();
  const Bytes one = bytes_of(test::synthetic_pages());
  const Bytes other = bytes_of(test::real_pages(1));
  const ZstdTrainingSet sets[] = {one, other};
  const auto first = train_zstd_dictionary(sets, tier);
  const auto second = train_zstd_dictionary(sets, tier);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_NE(*first, trained(one));
  const std::uint32_t id = load_u32(first->data() + 4);
  EXPECT_GE(id, 32768u);
  EXPECT_LT(id, 65536u);
  EXPECT_EQ(ZSTD_getDictID_fromDict(first->data(), first->size()), id);
}

TEST_F(ZstdCanned, PagesThatTeachNothingAreRefused) {
  std::mt19937 random(1);
  Bytes noise(16 * kPageSize);
  for (std::byte& byte : noise) byte = static_cast<std::byte>(random());
  for (const Bytes& bytes : {Bytes(), Bytes(16 * kPageSize), noise}) {
    const ZstdTrainingSet set = bytes;
    const auto dictionary = train_zstd_dictionary({&set, 1}, *available_kernels().back());
    ASSERT_FALSE(dictionary);
    EXPECT_EQ(dictionary.error().code, EINVAL);
    EXPECT_THAT(dictionary.error().message, HasSubstr("teach nothing"));
  }
}

}  // namespace
}  // namespace pleat::codec
