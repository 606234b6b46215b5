// SPDX-License-Identifier: MIT OR Apache-2.0
// Nothing is read or written beside any buffer: every buffer here ends, or begins, at inaccessible
// memory.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/lz4/format.h"
#include "codec/sample_pages.h"

namespace pleat::codec {
namespace {

using test::GuardedBuffer;
using test::SamplePage;

std::vector<SamplePage> some_pages() {
  auto pages = test::real_pages(8);
  auto synthetic = test::synthetic_pages();
  pages.insert(pages.end(), synthetic.begin(), synthetic.end());
  return pages;
}

std::vector<std::pair<const Kernels*, unsigned>> tiers_and_levels() {
  std::vector<std::pair<const Kernels*, unsigned>> all;
  for (const Kernels* tier : available_kernels()) {
    for (unsigned level = 1; level <= kLz4Levels; ++level) all.emplace_back(tier, level);
  }
  return all;
}

TEST(Lz4Bounds, BothDirectionsStayInsideTheirBuffers) {
  const GuardedBuffer page_memory;
  const GuardedBuffer block_memory;
  const GuardedBuffer out_memory;
  auto workspace = std::make_unique<Lz4Workspace>();
  for (const auto& [tier, level] : tiers_and_levels()) {
    for (const SamplePage& sample : some_pages()) {
      SCOPED_TRACE(std::string(tier->name) + ", " + std::to_string(level) + ", " + sample.name);
      for (const bool end : {false, true}) {
        std::byte* const page = page_memory.at_edge(end, kPageSize);
        std::memcpy(page, sample.bytes.data(), kPageSize);
        std::byte* const wide = block_memory.at_edge(end, kLz4Bound);
        const std::size_t size = tier->lz4_compress(page, wide, kLz4Bound, level, *workspace);
        ASSERT_GT(size, 0u);
        // The destination is exactly as large as the block.
        std::byte* const exact = block_memory.at_edge(end, size);
        ASSERT_EQ(tier->lz4_compress(page, exact, size, level, *workspace), size);
        std::byte* const out = out_memory.at_edge(end, kPageSize);
        std::memset(out, 0xa5, kPageSize);
        ASSERT_TRUE(tier->lz4_decompress(exact, size, out));
        ASSERT_EQ(std::memcmp(out, sample.bytes.data(), kPageSize), 0);
      }
    }
  }
}

TEST(Lz4Bounds, EveryCapacityFitsOrGivesUp) {
  const GuardedBuffer block_memory;
  auto workspace = std::make_unique<Lz4Workspace>();
  std::byte whole[kLz4Bound];
  const auto pages = some_pages();
  for (const auto& [tier, level] : tiers_and_levels()) {
    for (std::size_t i = 0; i < pages.size(); i += 19) {
      const std::byte* const page = pages[i].bytes.data();
      const std::size_t size = tier->lz4_compress(page, whole, sizeof(whole), level, *workspace);
      for (std::size_t capacity = 0; capacity <= kLz4Bound; ++capacity) {
        std::byte* const dst = block_memory.last(capacity);
        const std::size_t got = tier->lz4_compress(page, dst, capacity, level, *workspace);
        ASSERT_EQ(got, capacity < size ? 0 : size)
            << tier->name << ", " << level << ", " << pages[i].name << ", capacity " << capacity;
        if (got != 0) {
          ASSERT_EQ(std::memcmp(dst, whole, size), 0);
        }
      }
    }
  }
}

TEST(Lz4Bounds, NothingIsWrittenBehindTheCapacity) {
  auto workspace = std::make_unique<Lz4Workspace>();
  std::byte dst[kLz4Bound + 256];
  for (const auto& [tier, level] : tiers_and_levels()) {
    for (const SamplePage& sample : some_pages()) {
      for (const std::size_t capacity : {0, 1, 20, 100, 1000, 2048, 3072, 4096}) {
        std::memset(dst, 0x5a, sizeof(dst));
        tier->lz4_compress(sample.bytes.data(), dst, capacity, level, *workspace);
        for (std::size_t i = capacity; i < sizeof(dst); ++i) ASSERT_EQ(dst[i], std::byte{0x5a});
      }
    }
  }
}

TEST(Lz4Bounds, TheWorkspaceCarriesNothingOver) {
  std::byte clean[kLz4Bound];
  std::byte used[kLz4Bound];
  auto fresh = std::make_unique<Lz4Workspace>();
  auto dirty = std::make_unique<Lz4Workspace>();
  for (const auto& [tier, level] : tiers_and_levels()) {
    for (const SamplePage& sample : some_pages()) {
      std::memset(fresh.get(), 0, sizeof(Lz4Workspace));
      std::memset(dirty.get(), 0xff, sizeof(Lz4Workspace));
      const std::size_t size =
          tier->lz4_compress(sample.bytes.data(), clean, sizeof(clean), level, *fresh);
      ASSERT_EQ(tier->lz4_compress(sample.bytes.data(), used, sizeof(used), level, *dirty), size);
      ASSERT_EQ(std::memcmp(clean, used, size), 0)
          << tier->name << ", " << level << ", " << sample.name;
    }
  }
}

}  // namespace
}  // namespace pleat::codec
