// SPDX-License-Identifier: MIT OR Apache-2.0
// The codec lz4hc: its blocks are LZ4 blocks of the page, the same in every tier, inside their
// buffers; about as short as liblz4's; and no page takes more work than is allowed for.
#include <gtest/gtest.h>
#include <lz4.h>
#include <lz4hc.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "codec/chars.h"
#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/lz4/hc_workspace.h"
#include "codec/sample_pages.h"
#include "reference/lz4_reference.h"

namespace pleat::codec {
namespace {

using test::chars;
using test::GuardedBuffer;
using test::SamplePage;

template <typename ByteAt>
SamplePage hc_page(const std::string& name, ByteAt byte_at) {
  SamplePage page;
  page.name = name;
  for (std::size_t i = 0; i < kPageSize; ++i) page.bytes[i] = static_cast<std::byte>(byte_at(i));
  return page;
}

// Pages on which a search by chains has many candidates, long ones, or both.
std::vector<SamplePage> degenerate_pages() {
  std::vector<SamplePage> pages;
  std::mt19937 random(1);
  for (const unsigned run : {2u, 3u, 4u, 5u, 7u, 8u, 15u, 16u, 63u, 64u, 300u}) {
    pages.push_back(hc_page("runs of zeros up to " + std::to_string(run),
                            [&](std::size_t) { return random() % (run + 1) == 0; }));
    pages.push_back(
        hc_page("runs of " + std::to_string(run) + " between counted bytes",
                [&](std::size_t i) { return i % (run + 1) == run ? i / (run + 1) + 1 : 0; }));
    pages.push_back(hc_page("alternating runs of " + std::to_string(run),
                            [&](std::size_t i) { return i / run % 2; }));
  }
  for (const std::size_t period : {2u, 3u, 5u, 7u, 13u, 64u, 129u, 255u, 1000u, 2000u}) {
    std::vector<unsigned> pattern(period);
    for (unsigned& byte : pattern) byte = static_cast<unsigned>(random() % 3);
    for (const unsigned gap : {17u, 90u, 500u, 4000u}) {
      pages.push_back(hc_page(
          "period " + std::to_string(period) + " with an error in " + std::to_string(gap),
          [&](std::size_t i) { return random() % gap == 0 ? random() : pattern[i % period]; }));
    }
  }
  for (const unsigned words : {2u, 3u, 5u, 20u}) {
    std::vector<std::uint64_t> choice(words);
    for (std::uint64_t& word : choice) word = 0x7f0000000000 | (random() & 0xffff0);
    std::vector<std::uint64_t> page(kPageSize / 8);
    for (std::uint64_t& word : page) word = choice[random() % words];
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(page.data());
    pages.push_back(hc_page("one of " + std::to_string(words) + " pointers",
                            [&](std::size_t i) { return bytes[i]; }));
  }
  std::string fibonacci = "a";
  for (std::string before = "b"; fibonacci.size() < kPageSize;) {
    std::swap(fibonacci, before);
    fibonacci = before + fibonacci;
  }
  pages.push_back(hc_page("Fibonacci word", [&](std::size_t i) { return fibonacci[i]; }));
  pages.push_back(
      hc_page("Thue-Morse word", [](std::size_t i) { return __builtin_popcountll(i) & 1; }));
  return pages;
}

std::vector<SamplePage> hc_pages(std::size_t per_corpus) {
  auto pages = test::real_pages(per_corpus);
  for (auto& page : test::synthetic_pages()) pages.push_back(page);
  for (auto& page : degenerate_pages()) pages.push_back(page);
  return pages;
}

TEST(Lz4Hc, EveryDecoderGetsThePageBackAndEveryTierMakesTheSameBlock) {
  auto workspace = std::make_unique<Lz4HcWorkspace>();
  std::byte block[kLz4Bound];
  std::byte page[kPageSize];
  for (const SamplePage& sample : hc_pages(200)) {
    std::vector<std::byte> first;
    for (const Kernels* tier : available_kernels()) {
      SCOPED_TRACE(std::string(tier->name) + ", " + sample.name);
      const std::size_t size =
          tier->lz4hc_compress(sample.bytes.data(), block, sizeof(block), *workspace);
      ASSERT_GT(size, 0u);
      ASSERT_LE(size, kLz4Bound);
      if (first.empty()) {
        first.assign(block, block + size);
        ASSERT_EQ(LZ4_decompress_safe(chars(block), chars(page), static_cast<int>(size),
                                      static_cast<int>(kPageSize)),
                  static_cast<int>(kPageSize));
        ASSERT_EQ(std::memcmp(page, sample.bytes.data(), kPageSize), 0);
        const auto reference = reference::decode_lz4({block, size});
        ASSERT_EQ(reference.error, nullptr) << reference.error;
        ASSERT_EQ(std::memcmp(reference.page.data(), sample.bytes.data(), kPageSize), 0);
      }
      ASSERT_EQ(size, first.size());
      ASSERT_EQ(std::memcmp(block, first.data(), size), 0);
      std::memset(page, 0xa5, kPageSize);
      ASSERT_TRUE(tier->lz4_decompress(block, size, page));
      ASSERT_EQ(std::memcmp(page, sample.bytes.data(), kPageSize), 0);
    }
  }
}

// By the sum over a program's pages of what is stored, one over 3072 bytes as 4096.
TEST(Lz4Hc, StaysBesideLiblz4sLevel9OnEveryProgram) {
  auto workspace = std::make_unique<Lz4HcWorkspace>();
  const Kernels& tier = *available_kernels().back();
  std::byte block[LZ4_COMPRESSBOUND(kPageSize)];
  const auto stored = [](std::size_t size) { return size > 3072 ? kPageSize : size; };
  struct Bytes {
    double ours = 0;
    double theirs = 0;
  };
  std::map<std::string, Bytes> programs;
  for (const SamplePage& sample : test::real_pages(512)) {
    Bytes& bytes = programs[sample.name.substr(0, sample.name.find(' '))];
    bytes.ours += static_cast<double>(
        stored(tier.lz4hc_compress(sample.bytes.data(), block, sizeof(block), *workspace)));
    bytes.theirs += static_cast<double>(stored(static_cast<std::size_t>(
        LZ4_compress_HC(chars(sample.bytes.data()), chars(block), kPageSize, sizeof(block), 9))));
  }
  double ours = 0;
  double theirs = 0;
  for (const auto& [name, bytes] : programs) {
    EXPECT_LT(bytes.ours, bytes.theirs * 1.005) << name;
    ours += bytes.ours;
    theirs += bytes.theirs;
  }
  EXPECT_LT(ours, theirs * 1.001);
}

// Candidates are counted, and the bytes compared; the count does not depend on the machine.
TEST(Lz4Hc, NoPageTakesMoreWorkThanAllowed) {
  auto workspace = std::make_unique<Lz4HcWorkspace>();
  std::byte block[kLz4Bound];
  unsigned most = 0;
  for (const SamplePage& sample : hc_pages(500)) {
    unsigned work = 0;
    for (const Kernels* tier : available_kernels()) {
      tier->lz4hc_compress(sample.bytes.data(), block, sizeof(block), *workspace);
      if (work == 0) work = workspace->work;
      EXPECT_EQ(workspace->work, work) << tier->name << ", " << sample.name;
    }
    EXPECT_LE(work, kLz4HcWorkMost) << sample.name;
    most = std::max(most, work);
  }
  // Some page does come near the allowance; else this test would not test the bound.
  EXPECT_GT(most, kLz4HcWorkAllowance / 2);
}

TEST(Lz4Hc, RunsBecomeOneMatch) {
  auto workspace = std::make_unique<Lz4HcWorkspace>();
  std::byte block[kLz4Bound];
  for (const Kernels* tier : available_kernels()) {
    const std::byte page[kPageSize] = {};
    const std::size_t size = tier->lz4hc_compress(page, block, sizeof(block), *workspace);
    EXPECT_EQ(size, 26u) << tier->name;
    EXPECT_EQ(reference::decode_lz4({block, size}).sequence_count, 2u) << tier->name;
  }
}

TEST(Lz4Hc, StaysInsideItsBuffersAndEveryCapacityFitsOrGivesUp) {
  const GuardedBuffer page_memory;
  const GuardedBuffer block_memory;
  auto workspace = std::make_unique<Lz4HcWorkspace>();
  std::byte whole[kLz4Bound];
  const auto pages = hc_pages(8);
  for (const Kernels* tier : available_kernels()) {
    for (std::size_t i = 0; i < pages.size(); ++i) {
      SCOPED_TRACE(std::string(tier->name) + ", " + pages[i].name);
      std::size_t size = 0;
      for (const bool end : {false, true}) {
        std::byte* const page = page_memory.at_edge(end, kPageSize);
        std::memcpy(page, pages[i].bytes.data(), kPageSize);
        size = tier->lz4hc_compress(page, whole, sizeof(whole), *workspace);
        ASSERT_GT(size, 0u);
        std::byte* const exact = block_memory.at_edge(end, size);
        ASSERT_EQ(tier->lz4hc_compress(page, exact, size, *workspace), size);
        ASSERT_EQ(std::memcmp(exact, whole, size), 0);
        ASSERT_EQ(
            tier->lz4hc_compress(page, block_memory.at_edge(end, size - 1), size - 1, *workspace),
            0u);
      }
      if (i % 37 != 0) continue;
      for (std::size_t capacity = 0; capacity <= kLz4Bound; ++capacity) {
        ASSERT_EQ(tier->lz4hc_compress(pages[i].bytes.data(), block_memory.last(capacity), capacity,
                                       *workspace),
                  capacity < size ? 0 : size);
      }
    }
  }
}

TEST(Lz4Hc, TheWorkspaceCarriesNothingOver) {
  std::byte clean[kLz4Bound];
  std::byte used[kLz4Bound];
  auto fresh = std::make_unique<Lz4HcWorkspace>();
  auto dirty = std::make_unique<Lz4HcWorkspace>();
  for (const Kernels* tier : available_kernels()) {
    for (const SamplePage& sample : hc_pages(8)) {
      std::memset(static_cast<void*>(fresh.get()), 0, sizeof(Lz4HcWorkspace));
      std::memset(static_cast<void*>(dirty.get()), 0xff, sizeof(Lz4HcWorkspace));
      const std::size_t size =
          tier->lz4hc_compress(sample.bytes.data(), clean, sizeof(clean), *fresh);
      ASSERT_EQ(tier->lz4hc_compress(sample.bytes.data(), used, sizeof(used), *dirty), size);
      ASSERT_EQ(std::memcmp(clean, used, size), 0) << tier->name << ", " << sample.name;
    }
  }
}

}  // namespace
}  // namespace pleat::codec
