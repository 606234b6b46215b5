// SPDX-License-Identifier: MIT OR Apache-2.0
// What a kernel is given: where the pages and blocks of a batch lie in the GPU's memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu/page_bytes.h"
#include "gpu/page_look/page_features.h"
#include "gpu/page_status.h"

#ifdef __CUDACC__
#define PLEAT_HOST_DEVICE __host__ __device__
#else
#define PLEAT_HOST_DEVICE
#endif

namespace pleat::gpu {

// Blocks begin at multiples of a unit of 16 bytes; offsets count units, so 32 bits reach 64 GiB.
inline constexpr std::uint32_t kUnitBytes = 16;

PLEAT_HOST_DEVICE constexpr std::uint32_t units_of(std::uint32_t bytes) {
  return bytes / kUnitBytes + (bytes % kUnitBytes != 0 ? 1 : 0);
}

struct DecompressBatch {
  const std::byte* blocks;       // aligned to 16
  std::uint32_t first;           // the offset of the block that would begin at `blocks`
  std::uint32_t units;           // that are readable at `blocks`
  const std::uint32_t* offsets;  // of each page's block, in units
  const std::uint32_t* sizes;    // in bytes
  const BlockKind* kinds;
  std::byte* pages;  // kPageBytes each, aligned to 16
  PageStatus* statuses;
  std::uint32_t count;

  // Whether a block lies where it can be read; offsets and sizes may be anything.
  PLEAT_HOST_DEVICE bool readable(std::uint32_t page) const {
    const std::uint32_t from = offsets[page] - first;
    return offsets[page] >= first && from <= units && units_of(sizes[page]) <= units - from;
  }
  PLEAT_HOST_DEVICE const std::byte* block(std::uint32_t page) const {
    return blocks + std::size_t{kUnitBytes} * (offsets[page] - first);
  }
  PLEAT_HOST_DEVICE std::byte* page(std::uint32_t page) const {
    return pages + std::size_t{kPageBytes} * page;
  }
};

struct CompressBatch {
  const std::byte* pages;  // kPageBytes each, aligned to 16
  std::byte* slots;        // one of `capacity` bytes a page, aligned to 16
  std::uint32_t capacity;  // a multiple of 16, at most 4096
  std::uint32_t* sizes;
  BlockKind* kinds;
  std::uint32_t raw_size;  // of a page that does not fit: 0, or kPageBytes to have it packed whole
  std::uint32_t count;

  PLEAT_HOST_DEVICE const std::byte* page(std::uint32_t page) const {
    return pages + std::size_t{kPageBytes} * page;
  }
  PLEAT_HOST_DEVICE std::byte* slot(std::uint32_t page) const {
    return slots + std::size_t{capacity} * page;
  }
};

struct FeaturesBatch {
  const std::byte* pages;  // kPageBytes each, aligned to 16
  PageFeatures* features;
  std::uint32_t count;
};

// Pages whose sizes one warp adds up, and how many warps do.
inline constexpr std::uint32_t kChunkPages = 1024;
inline constexpr std::uint32_t kChunksMax = 1024;
inline constexpr std::uint32_t kBatchPagesMax = kChunkPages * kChunksMax;

// Moves the blocks of a CompressBatch together, in the order of pages, behind what is there.
struct Packing {
  const std::byte* pages;
  const std::byte* slots;
  std::uint32_t capacity;
  const std::uint32_t* sizes;
  const BlockKind* kinds;
  std::uint32_t* chunks;   // working memory, chunk_count() words
  std::uint32_t* offsets;  // to be made
  std::byte* blocks;       // has room for all of them
  std::uint32_t* used;     // units at `blocks` that are in use: before, and afterwards
  std::uint32_t count;     // at most kBatchPagesMax

  PLEAT_HOST_DEVICE std::uint32_t chunk_count() const {
    return (count + kChunkPages - 1) / kChunkPages;
  }
  // What is to be moved for a page.
  PLEAT_HOST_DEVICE const std::byte* source(std::uint32_t page) const {
    return kinds[page] == BlockKind::kRaw ? pages + std::size_t{kPageBytes} * page
                                          : slots + std::size_t{capacity} * page;
  }
};

}  // namespace pleat::gpu
