// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/page_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "codec/codec_spec.h"
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
  for (const char* text :
       {"", ":", ":9", ",", "lz4:", "lz4,", "lz4:1,", "lz4,key", "lz4,=value",
        "lz4,key=", "lz4,a=b,", "lz4,a=b=c", " lz4", "lz4 ", "lz4:1:2", "l\xc3\xa9", "lz4:,a=b"}) {
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
      {"lz5", "unknown codec 'lz5'; there is: lz4"},
      {"LZ4", "unknown codec 'LZ4'; there is: lz4"},
      {"lz4:9", "codec lz4 has no levels; leave out ':9'"},
      {"lz4,block=16384", "codec lz4 has no options; leave out ',block=16384'"}};
  for (const auto& [spec, message] : cases) {
    const auto codec = PageCodec::open(spec, kernels);
    ASSERT_FALSE(codec) << spec;
    EXPECT_EQ(codec.error().code, EINVAL);
    EXPECT_EQ(codec.error().message, message);
  }
}

TEST(PageCodec, RoundTripsInEveryTierAndMoves) {
  for (const Kernels* kernels : available_kernels()) {
    auto opened = PageCodec::open("lz4", *kernels);
    ASSERT_TRUE(opened);
    PageCodec first = std::move(*opened);
    PageCodec codec = std::move(first);
    EXPECT_EQ(codec.id(), CodecId::kLz4);
    EXPECT_EQ(codec.spec(), "lz4");
    EXPECT_EQ(&codec.kernels(), kernels);
    EXPECT_LE(codec.workspace_bytes(), 65536u);
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

}  // namespace
}  // namespace pleat::codec
