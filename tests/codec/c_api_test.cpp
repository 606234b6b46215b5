// SPDX-License-Identifier: MIT OR Apache-2.0
// libpleat.so through its installed headers only.
#include <gtest/gtest.h>
#include <lz4.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <pleat/pleat.hpp>
#include <vector>

#include "codec/sample_pages.h"

namespace {

using pleat::test::SamplePage;

class CApi : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pleat_codec_open("lz4", &codec_), 0); }
  void TearDown() override { pleat_codec_close(codec_); }

  pleat_codec* codec_ = nullptr;
};

TEST(CApiOpen, WrongArgumentsAreEinvalAndLeaveNull) {
  pleat_codec* codec = reinterpret_cast<pleat_codec*>(8);
  EXPECT_EQ(pleat_codec_open("nothing", &codec), -EINVAL);
  EXPECT_EQ(codec, nullptr);
  EXPECT_EQ(pleat_codec_open("lz4:", &codec), -EINVAL);
  EXPECT_EQ(pleat_codec_open("", &codec), -EINVAL);
  EXPECT_EQ(pleat_codec_open(nullptr, &codec), -EINVAL);
  EXPECT_EQ(pleat_codec_open("lz4", nullptr), -EINVAL);
  pleat_codec_close(nullptr);
}

TEST(CApiOpen, AnUnknownInstructionSetIsEnotsup) {
  const char* const before = std::getenv("PLEAT_ISA");
  const std::string saved = before == nullptr ? "" : before;
  setenv("PLEAT_ISA", "mmx", 1);
  pleat_codec* codec = reinterpret_cast<pleat_codec*>(8);
  EXPECT_EQ(pleat_codec_open("lz4", &codec), -ENOTSUP);
  EXPECT_EQ(codec, nullptr);
  EXPECT_EQ(pleat_isa(), nullptr);
  setenv("PLEAT_ISA", "scalar", 1);
  EXPECT_STREQ(pleat_isa(), "scalar");
  if (before == nullptr) {
    unsetenv("PLEAT_ISA");
  } else {
    setenv("PLEAT_ISA", saved.c_str(), 1);
  }
  EXPECT_NE(pleat_isa(), nullptr);
}

TEST_F(CApi, NullArgumentsAreEinval) {
  std::byte page[PLEAT_PAGE_SIZE] = {};
  std::byte block[64];
  EXPECT_EQ(pleat_compress_page(nullptr, page, block, 64), -EINVAL);
  EXPECT_EQ(pleat_compress_page(codec_, nullptr, block, 64), -EINVAL);
  EXPECT_EQ(pleat_compress_page(codec_, page, nullptr, 64), -EINVAL);
  EXPECT_EQ(pleat_decompress_page(nullptr, block, 4, page), -EINVAL);
  EXPECT_EQ(pleat_decompress_page(codec_, nullptr, 4, page), -EINVAL);
  EXPECT_EQ(pleat_decompress_page(codec_, block, 4, nullptr), -EINVAL);
  EXPECT_EQ(pleat_codec_bound(nullptr), 0u);
  std::uint64_t word = 5;
  EXPECT_EQ(pleat_page_same_filled(nullptr, &word), -EINVAL);
  EXPECT_EQ(pleat_page_same_filled(page, nullptr), -EINVAL);
  EXPECT_EQ(word, 5u);
}

TEST_F(CApi, OnePageRoundTripsAndSaysWhereItDoesNotFit) {
  const std::size_t bound = pleat_codec_bound(codec_);
  ASSERT_EQ(bound, static_cast<std::size_t>(LZ4_COMPRESSBOUND(PLEAT_PAGE_SIZE)));
  std::vector<std::byte> block(bound);
  std::byte page[PLEAT_PAGE_SIZE];
  for (const SamplePage& sample : pleat::test::synthetic_pages()) {
    SCOPED_TRACE(sample.name);
    const ssize_t size = pleat_compress_page(codec_, sample.bytes.data(), block.data(), bound);
    ASSERT_GT(size, 0);
    ASSERT_LE(static_cast<std::size_t>(size), bound);
    const auto exact = static_cast<std::size_t>(size);
    ASSERT_EQ(pleat_decompress_page(codec_, block.data(), exact, page), 0);
    ASSERT_EQ(std::memcmp(page, sample.bytes.data(), sizeof(page)), 0);
    ASSERT_EQ(pleat_decompress_page(codec_, block.data(), exact - 1, page), -EBADMSG);
    ASSERT_EQ(pleat_compress_page(codec_, sample.bytes.data(), block.data(), exact - 1), 0);
  }
  EXPECT_EQ(pleat_decompress_page(codec_, block.data(), 0, page), -EBADMSG);
}

TEST_F(CApi, BatchesDoWhatSingleCallsDo) {
  const auto samples = pleat::test::synthetic_pages();
  const std::size_t count = samples.size();
  const std::size_t capacity = 2048;
  std::vector<std::vector<std::byte>> blocks(count, std::vector<std::byte>(capacity));
  std::vector<std::vector<std::byte>> outs(count, std::vector<std::byte>(PLEAT_PAGE_SIZE));
  std::vector<const void*> pages(count);
  std::vector<void*> dst(count);
  std::vector<const void*> src(count);
  std::vector<void*> back(count);
  std::vector<std::int32_t> sizes(count, -7);
  for (std::size_t i = 0; i < count; ++i) {
    pages[i] = samples[i].bytes.data();
    src[i] = dst[i] = blocks[i].data();
    back[i] = outs[i].data();
  }
  ASSERT_EQ(pleat_compress_pages(codec_, count, pages.data(), dst.data(), capacity, sizes.data()),
            0);
  std::vector<std::byte> single(capacity);
  std::size_t raw = 0;
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(sizes[i], pleat_compress_page(codec_, pages[i], single.data(), capacity));
    if (sizes[i] == 0) {
      ++raw;
    } else {
      ASSERT_EQ(std::memcmp(single.data(), dst[i], static_cast<std::size_t>(sizes[i])), 0);
    }
  }
  ASSERT_GT(raw, 0u);
  ASSERT_LT(raw, count);

  // A size of 0 is no block; a negative one is the caller's mistake.
  std::vector<int> errors(count, 99);
  sizes[0] = -1;
  ASSERT_EQ(
      pleat_decompress_pages(codec_, count, src.data(), sizes.data(), back.data(), errors.data()),
      -EBADMSG);
  for (std::size_t i = 0; i < count; ++i) {
    ASSERT_EQ(errors[i], i == 0 ? -EINVAL : sizes[i] == 0 ? -EBADMSG : 0) << samples[i].name;
    if (errors[i] == 0) {
      ASSERT_EQ(std::memcmp(back[i], pages[i], PLEAT_PAGE_SIZE), 0);
    }
  }
  // Good pages alone are a success.
  EXPECT_EQ(pleat_decompress_pages(codec_, 1, src.data() + 1, sizes.data() + 1, back.data(),
                                   errors.data()),
            0);
  EXPECT_EQ(pleat_compress_pages(codec_, 0, pages.data(), dst.data(), capacity, sizes.data()), 0);
  EXPECT_EQ(pleat_decompress_pages(codec_, 0, src.data(), sizes.data(), back.data(), errors.data()),
            0);
}

TEST_F(CApi, BatchesRefuseNullBeforeTheyWrite) {
  const auto samples = pleat::test::synthetic_pages();
  std::vector<std::byte> block(pleat_codec_bound(codec_));
  const void* pages[2] = {samples[0].bytes.data(), nullptr};
  void* dst[2] = {block.data(), block.data()};
  std::int32_t sizes[2] = {-7, -7};
  int errors[2] = {99, 99};
  void* const out[2] = {block.data(), block.data()};
  EXPECT_EQ(pleat_compress_pages(codec_, 2, pages, dst, block.size(), sizes), -EINVAL);
  EXPECT_EQ(sizes[0], -7);
  EXPECT_EQ(pleat_compress_pages(nullptr, 1, pages, dst, block.size(), sizes), -EINVAL);
  EXPECT_EQ(pleat_compress_pages(codec_, 1, nullptr, dst, block.size(), sizes), -EINVAL);
  EXPECT_EQ(pleat_compress_pages(codec_, 1, pages, nullptr, block.size(), sizes), -EINVAL);
  EXPECT_EQ(pleat_compress_pages(codec_, 1, pages, dst, block.size(), nullptr), -EINVAL);
  EXPECT_EQ(pleat_decompress_pages(codec_, 2, pages, sizes, out, errors), -EINVAL);
  EXPECT_EQ(errors[0], 99);
  EXPECT_EQ(pleat_decompress_pages(nullptr, 1, pages, sizes, out, errors), -EINVAL);
  EXPECT_EQ(pleat_decompress_pages(codec_, 1, nullptr, sizes, out, errors), -EINVAL);
  EXPECT_EQ(pleat_decompress_pages(codec_, 1, pages, nullptr, out, errors), -EINVAL);
  EXPECT_EQ(pleat_decompress_pages(codec_, 1, pages, sizes, nullptr, errors), -EINVAL);
  EXPECT_EQ(pleat_decompress_pages(codec_, 1, pages, sizes, out, nullptr), -EINVAL);
}

TEST(CApiScan, SameFilledIsFoundAndElseTheWordIsUnchanged) {
  std::byte page[PLEAT_PAGE_SIZE];
  std::memset(page, 0x11, sizeof(page));
  std::uint64_t word = 5;
  EXPECT_EQ(pleat_page_same_filled(page, &word), 1);
  EXPECT_EQ(word, 0x1111111111111111u);
  EXPECT_EQ(pleat::same_filled(page), 0x1111111111111111u);
  page[4000] = std::byte{0};
  word = 5;
  EXPECT_EQ(pleat_page_same_filled(page, &word), 0);
  EXPECT_EQ(word, 5u);
  EXPECT_EQ(pleat::same_filled(page), std::nullopt);
}

TEST(CppApi, OwnsACodecAndThrowsOnlyAtOpen) {
  pleat::Codec codec("lz4");
  std::vector<std::byte> block(codec.bound());
  std::byte page[PLEAT_PAGE_SIZE];
  const auto samples = pleat::test::synthetic_pages();
  const auto size = codec.compress(samples[0].bytes.data(), block.data(), block.size());
  ASSERT_TRUE(size.has_value());
  EXPECT_TRUE(codec.decompress(block.data(), *size, page));
  EXPECT_FALSE(codec.decompress(block.data(), *size - 1, page));
  EXPECT_FALSE(codec.compress(samples[0].bytes.data(), block.data(), 3).has_value());
  EXPECT_NE(codec.get(), nullptr);
  try {
    pleat::Codec wrong("lz5");
    FAIL() << "an unknown codec was opened";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EINVAL);
    EXPECT_NE(std::string(error.what()).find("'lz5'"), std::string::npos);
  }
}

TEST(CApiVersion, IsTheProjects) { EXPECT_STREQ(pleat_version(), PLEAT_EXPECTED_VERSION); }

}  // namespace
