// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/page_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <tuple>

#include "codec/codec_spec.h"
#include "codec/isa/tables.h"
#include "codec/line/line_format.h"
#include "codec/page_look.h"
#include "codec/sample_pages.h"

namespace pleat::codec {
namespace {

using testing::HasSubstr;

TEST(CodecSpec, SplitsNameLevelAndOptions) {
  const auto plain = parse_codec_spec("lz4");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->name, "lz4");
  EXPECT_EQ(plain->level, "");
  EXPECT_TRUE(plain->options.empty());

  const auto full = parse_codec_spec("name:9,block=16384,fallback=lz4");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->name, "name");
  EXPECT_EQ(full->level, "9");
  const std::vector<std::pair<std::string, std::string>> options = {{"block", "16384"},
                                                                    {"fallback", "lz4"}};
  EXPECT_EQ(full->options, options);
  EXPECT_EQ(parse_codec_spec("name,key=value")->options.size(), 1u);
}

TEST(CodecSpec, RefusesWhatHasNotTheForm) {
  for (const char* text : {"",
                           ":",
                           ":9",
                           ",",
                           "lz4:",
                           "lz4,",
                           "lz4:1,",
                           "lz4,key",
                           "lz4,=value",
                           "lz4,key=",
                           "lz4,a=b,",
                           "lz4,a=b=c",
                           "lz4,a=b,c=d,a=b",
                           " lz4",
                           "lz4 ",
                           "lz4:1:2",
                           "lz4/3",
                           "lz4:/2",
                           "lz4,a/b=c",
                           "l\xc3\xa9",
                           "lz4:,a=b"}) {
    const auto spec = parse_codec_spec(text);
    ASSERT_FALSE(spec) << text;
    EXPECT_EQ(spec.error().code, EINVAL) << text;
    EXPECT_THAT(spec.error().message, HasSubstr("'" + std::string(text) + "'"));
    EXPECT_THAT(spec.error().message, HasSubstr("name[:level][,key=value...]"));
  }
}

TEST(PageCodec, RefusesWhatItDoesNotKnowAndSaysWhatThereIs) {
  const Kernels& kernels = *available_kernels().front();
  const std::pair<const char*, const char*> cases[] = {
      {"lz5", "unknown codec 'lz5'; there is: lz4, lz4hc, line, zstd"},
      {"LZ4", "unknown codec 'LZ4'; there is: lz4, lz4hc, line, zstd"},
      {"lz4:9", "codec lz4 has no level '9'; there is: fast, 2 to 5"},
      {"lz4:1", "codec lz4 has no level '1'; there is: fast, 2 to 5"},
      {"lz4hc:9", "codec lz4hc has no levels; leave out ':9'"},
      {"lz4hc,block=16384",
       "codec lz4hc: blocks of more than a page are for recompression; leave out ',block=16384'"},
      {"zstd:2", "codec zstd has no level '2'; there is: fast, 1, 3, 9, 19"},
      {"zstd,tables=own",
       "codec zstd has no option 'tables=own'; there is: tables=canned, tables=mixed, dict=FILE"},
      {"zstd:fast,tables=canned",
       "codec zstd has the options tables and dict at level 1 only; leave out ':fast'"},
      {"zstd,block=16384",
       "codec zstd: blocks of more than a page are for recompression; leave out ',block=16384'"},
      {"line:0", "codec line has no level '0'; there is: 1 to 5"},
      {"line:6", "codec line has no level '6'; there is: 1 to 5"},
      {"line:12", "codec line has no level '12'; there is: 1 to 5"},
      {"line,fallback=zstd", "codec line has no option 'fallback=zstd'; there is: fallback=lz4"},
      {"line,block=16384",
       "codec line: blocks of more than a page are for recompression; leave out ',block=16384'"},
      {"lz4,block=16384",
       "codec lz4: blocks of more than a page are for recompression; leave out ',block=16384'"}};
  for (const auto& [spec, message] : cases) {
    const auto codec = PageCodec::open(spec, kernels);
    ASSERT_FALSE(codec) << spec;
    EXPECT_EQ(codec.error().code, EINVAL);
    EXPECT_EQ(codec.error().message, message);
  }
}

TEST(PageCodec, RoundTripsInEveryTierAndMoves) {
  const std::pair<const char*, const char*> specs[] = {
      {"lz4", "lz4"},
      {"lz4:4", "lz4"},
      {"lz4:5", "lz4:5"},
      {"lz4:fast", "lz4:fast"},
      {"lz4:2", "lz4:2"},
      {"lz4hc", "lz4hc"},
      {"zstd", "zstd"},
      {"zstd:1", "zstd"},
      {"zstd:fast", "zstd:fast"},
      {"zstd:3", "zstd:3"},
      {"zstd:9", "zstd:9"},
      {"zstd:19", "zstd:19"},
      {"zstd:1,tables=canned", "zstd,tables=canned"},
      {"zstd,tables=mixed", "zstd,tables=mixed"},
      {"line", "line"},
      {"line:3", "line"},
      {"line:5", "line:5"},
      {"line,fallback=lz4", "line,fallback=lz4"},
      {"line:1,fallback=lz4", "line:1,fallback=lz4"}};
  for (const Kernels* kernels : available_kernels()) {
    for (const auto& [spec, name] : specs) {
      auto opened = PageCodec::open(spec, *kernels);
      ASSERT_TRUE(opened);
      PageCodec first = std::move(*opened);
      PageCodec codec = std::move(first);
      EXPECT_EQ(codec.spec(), name);
      EXPECT_EQ(&codec.kernels(), kernels);
      const bool is_dense = codec.spec() == "zstd:9" || codec.spec() == "zstd:19";
      EXPECT_LE(codec.workspace_bytes(), is_dense ? 295'000u : 65'536u);
      std::vector<std::byte> block(codec.bound());
      std::byte page[kPageSize];
      for (const auto& sample : test::synthetic_pages()) {
        const std::size_t size = codec.compress(sample.bytes.data(), block.data(), block.size());
        ASSERT_GT(size, 0u);
        ASSERT_TRUE(codec.decompress(block.data(), size, page));
        ASSERT_EQ(std::memcmp(page, sample.bytes.data(), kPageSize), 0);
        ASSERT_FALSE(codec.decompress(block.data(), size - 1, page));
      }
    }
  }
}

// What is short as lines stays lines; text, which is long as lines, becomes LZ4 where that is
// shorter; noise is neither.
TEST(PageCodec, ABlockOfZerosIsTheOneThatTheLineFormatHas) {
  const std::byte page[kPageSize] = {};
  const auto work = std::make_unique<LineWorkspace>();
  std::byte expected[5000];
  const std::size_t size =
      kScalarKernels.line_compress(page, expected, sizeof(expected), kLineLevelDefault, *work);
  for (const Kernels* tier : available_kernels()) {
    for (const char* const spec : {"line", "line:1", "line,fallback=lz4"}) {
      auto codec = PageCodec::open(spec, *tier);
      ASSERT_TRUE(codec);
      std::byte block[5000];
      for (const std::size_t capacity : {sizeof(block), size}) {
        const Encoded encoded = codec->encode(page, block, capacity);
        EXPECT_EQ(encoded.id, CodecId::kLine) << spec;
        ASSERT_EQ(encoded.size, size) << spec;
        EXPECT_EQ(std::memcmp(block, expected, size), 0) << spec << " " << tier->name;
      }
      std::memset(block, 0x5a, sizeof(block));
      EXPECT_EQ(PageCodec::open("line", *tier)->encode(page, block, size - 1).size, 0u);
      EXPECT_EQ(block[0], std::byte{0x5a});
    }
  }
}

TEST(PageCodec, TheFallbackTakesTheShorterOfTwo) {
  const Kernels& kernels = *available_kernels().back();
  auto both = PageCodec::open("line,fallback=lz4", kernels);
  auto line = PageCodec::open("line", kernels);
  auto lz4 = PageCodec::open("lz4:5", kernels);
  ASSERT_TRUE(both && line && lz4);
  std::vector<std::byte> block(5000);
  std::size_t chosen[3] = {};
  std::byte page[kPageSize];
  for (const auto& sample : test::synthetic_pages()) {
    for (const std::size_t capacity : {both->bound(), std::size_t{3632}, std::size_t{300}}) {
      const std::byte* const bytes = sample.bytes.data();
      const std::size_t as_line = line->encode(bytes, block.data(), capacity).size;
      const std::size_t as_lz4 = lz4->encode(bytes, block.data(), capacity).size;
      const Encoded encoded = both->encode(bytes, block.data(), capacity);
      ++chosen[encoded.size == 0 ? 0 : static_cast<unsigned>(encoded.id)];
      if (encoded.size == 0) {
        EXPECT_TRUE(as_line + as_lz4 == 0 || look_at(bytes) == PageLook::kNoise);
        continue;
      }
      EXPECT_EQ(encoded.size, encoded.id == CodecId::kLine ? as_line : as_lz4);
      if (encoded.id == CodecId::kLz4 && as_line != 0) {
        EXPECT_LT(as_lz4, as_line);
      }
      ASSERT_TRUE(both->decode(encoded.id, block.data(), encoded.size, page));
      ASSERT_EQ(std::memcmp(page, bytes, kPageSize), 0);
      const CodecId other = encoded.id == CodecId::kLine ? CodecId::kLz4 : CodecId::kLine;
      PageCodec& one = encoded.id == CodecId::kLine ? *lz4 : *line;
      EXPECT_FALSE(one.decode(encoded.id, block.data(), encoded.size, page));
      EXPECT_FALSE(one.decode(static_cast<CodecId>(4), block.data(), encoded.size, page));
      EXPECT_TRUE(
          one.decode(other, block.data(), one.encode(bytes, block.data(), 5000).size, page));
    }
  }
  EXPECT_GT(chosen[0], 0u);
  EXPECT_GT(chosen[1], 0u);
  EXPECT_GT(chosen[2], 0u);
}

// The format is one: what either compressed the other decompresses, under the same CodecId.
TEST(PageCodec, Lz4AndLz4HcReadEachOther) {
  const Kernels& kernels = *available_kernels().back();
  auto lz4 = PageCodec::open("lz4", kernels);
  auto lz4hc = PageCodec::open("lz4hc", kernels);
  ASSERT_TRUE(lz4 && lz4hc);
  EXPECT_EQ(lz4->bound(), lz4hc->bound());
  std::vector<std::byte> block(lz4->bound());
  std::byte page[kPageSize];
  const std::pair<PageCodec*, PageCodec*> ways[] = {{&*lz4, &*lz4hc}, {&*lz4hc, &*lz4}};
  for (const auto& sample : test::synthetic_pages()) {
    for (const auto& [from, to] : ways) {
      const Encoded encoded = from->encode(sample.bytes.data(), block.data(), block.size());
      ASSERT_EQ(encoded.id, CodecId::kLz4);
      ASSERT_TRUE(to->decode(encoded.id, block.data(), encoded.size, page));
      ASSERT_EQ(std::memcmp(page, sample.bytes.data(), kPageSize), 0);
      ASSERT_FALSE(to->decode(CodecId::kLine, block.data(), encoded.size, page));
    }
  }
}

TEST(PageCodec, TheDefaultIsLineWhereItIsMadeOfVectors) {
  for (const Kernels* kernels : available_kernels()) {
    const std::string tier = kernels->name;
    const std::string spec = default_codec(*kernels);
    EXPECT_EQ(spec, tier == "scalar" ? "lz4" : "line,fallback=lz4");
    EXPECT_TRUE(PageCodec::open(spec, *kernels).has_value());
  }
}

TEST(PageCodec, ABlockThatNamesNoCodecIsRefused) {
  auto codec = PageCodec::open("line,fallback=lz4", *available_kernels().back());
  ASSERT_TRUE(codec);
  std::vector<std::byte> block(codec->bound());
  std::byte page[kPageSize] = {};
  const std::size_t size = codec->compress(page, block.data(), block.size());
  ASSERT_TRUE(codec->decompress(block.data(), size, page));
  for (unsigned id = 0; id < 256; ++id) {
    if (static_cast<std::byte>(id) == block[size - 1]) continue;
    std::vector<std::byte> other(block.begin(), block.begin() + static_cast<long>(size));
    other.back() = static_cast<std::byte>(id);
    EXPECT_FALSE(codec->decompress(other.data(), size, page)) << id;
  }
  EXPECT_FALSE(codec->decompress(block.data(), 0, page));
  EXPECT_EQ(codec->compress(page, block.data(), 0), 0u);
}

}  // namespace
}  // namespace pleat::codec
