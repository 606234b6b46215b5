// SPDX-License-Identifier: MIT OR Apache-2.0
// What a kernel is given: where the pages and blocks of a batch lie in the GPU's memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu/page_status.h"

#ifdef __CUDACC__
#define PLEAT_HOST_DEVICE __host__ __device__
#else
#define PLEAT_HOST_DEVICE
#endif

namespace pleat::gpu {

// Blocks begin at multiples of 16 bytes; this is the unit of offsets, so 32 bits reach 64 GiB.
inline constexpr std::size_t kBlockAlignment = 16;

struct DecompressBatch {
  const std::byte* blocks;       // aligned to 16, readable to the next multiple of 16
  const std::uint32_t* offsets;  // of each block, in units of 16 bytes
  const std::uint32_t* sizes;    // in bytes
  std::byte* pages;              // 4096 bytes each, aligned to 16
  PageStatus* statuses;
  std::uint32_t count;

  PLEAT_HOST_DEVICE const std::byte* block(std::uint32_t page) const {
    return blocks + kBlockAlignment * offsets[page];
  }
  PLEAT_HOST_DEVICE std::byte* page(std::uint32_t page) const {
    return pages + std::size_t{4096} * page;
  }
};

struct CompressBatch {
  const std::byte* pages;  // 4096 bytes each, aligned to 16
  std::byte* blocks;       // one slot of `capacity` bytes a page, aligned to 16
  std::uint32_t capacity;  // a multiple of 16, at most 4096
  std::uint32_t* sizes;    // 0 where a page does not fit
  std::uint32_t count;

  PLEAT_HOST_DEVICE const std::byte* page(std::uint32_t page) const {
    return pages + std::size_t{4096} * page;
  }
  PLEAT_HOST_DEVICE std::byte* block(std::uint32_t page) const {
    return blocks + std::size_t{capacity} * page;
  }
};

}  // namespace pleat::gpu
