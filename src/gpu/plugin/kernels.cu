// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernels as a GPU gets them: a block is a few warps, which take pages in turns.
#include "gpu/line/warp_line_decompress.h"
#include "gpu/lz4/warp_lz4_compress.h"
#include "gpu/page_look/warp_page_look.h"
#include "gpu/page_look/warp_same_filled.h"
#include "gpu/plugin/batches.h"
#include "gpu/warp_compact.h"

namespace pleat::gpu {
namespace {

constexpr unsigned kWarpsInBlock = 4;

// Runs `one(warp, page)` for each page of the batch, a warp a page.
template <std::uint32_t kScratch, typename One>
__device__ __forceinline__ void for_each_page(std::uint32_t count, const One& one) {
  extern __shared__ __align__(16) char shared[];
  // By a shuffle, which tells the compiler that it is the same for all lanes.
  const unsigned in_block = __shfl_sync(0xFFFFFFFF, threadIdx.x / kWarpLanes, 0);
  Warp warp(shared + in_block * kScratch);
  for (std::uint32_t page = blockIdx.x * kWarpsInBlock + in_block; page < count;
       page += gridDim.x * kWarpsInBlock) {
    one(warp, page);
    // The scratch memory is the next page's.
    warp.sync();
  }
}

}  // namespace

__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes)
    line_decompress(DecompressBatch batch) {
  for_each_page<kLineDecompressScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    const PageStatus status =
        warp_line_decompress(warp, batch.block(page), batch.sizes[page], batch.page(page));
    if (warp.lane() == 0) batch.statuses[page] = status;
  });
}

__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes) lz4_compress(CompressBatch batch) {
  for_each_page<kLz4CompressScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    const std::uint32_t size =
        warp_lz4_compress(warp, batch.page(page), batch.block(page), batch.capacity);
    if (warp.lane() == 0) batch.sizes[page] = size;
  });
}

// same[i]: whether page i is same-filled; its word is in words[2 * i] and behind.
__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes)
    page_same_filled(const std::byte* pages, std::uint32_t count, std::uint8_t* same,
                     std::uint32_t* words) {
  for_each_page<0>(count, [&](Warp& warp, std::uint32_t page) {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    const bool is = warp_same_filled(warp, pages + std::size_t{4096} * page, &low, &high);
    if (warp.lane() != 0) return;
    put_global_u8(same + page, is ? 1 : 0);
    put_global_u64(words + 2 * std::size_t{page}, low, high);
  });
}

__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes)
    page_fill(std::byte* pages, std::uint32_t count, const std::uint32_t* words) {
  for_each_page<0>(count, [&](Warp& warp, std::uint32_t page) {
    const std::uint32_t* const word = words + 2 * std::size_t{page};
    warp_fill(warp, pages + std::size_t{4096} * page, global_u32(word), global_u32(word + 1));
  });
}

__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes)
    page_features(const std::byte* pages, std::uint32_t count, PageFeatures* features) {
  for_each_page<kPageLookScratch>(count, [&](Warp& warp, std::uint32_t page) {
    warp_page_features(warp, pages + std::size_t{4096} * page, features + page);
  });
}

// A warp a chunk; one warp in all; a warp a chunk; a warp a block.
__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes)
    compact_sum(const std::uint32_t* sizes, std::uint32_t count, std::uint32_t* sums) {
  for_each_page<0>(
      (count + kCompactChunk - 1) / kCompactChunk,
      [&](Warp& warp, std::uint32_t chunk) { warp_compact_sum(warp, sizes, count, chunk, sums); });
}

__global__ void __launch_bounds__(kWarpLanes)
    compact_scan(std::uint32_t* sums, std::uint32_t chunks, std::uint32_t* total) {
  Warp warp(nullptr);
  const std::uint32_t units = warp_compact_scan(warp, sums, chunks);
  if (warp.lane() == 0) *total = units;
}

__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes)
    compact_offsets(const std::uint32_t* sizes, std::uint32_t count, const std::uint32_t* begins,
                    std::uint32_t* offsets) {
  for_each_page<0>(
      (count + kCompactChunk - 1) / kCompactChunk, [&](Warp& warp, std::uint32_t chunk) {
        warp_compact_offsets(warp, sizes, count, chunk, global_u32(begins + chunk), offsets);
      });
}

__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes)
    compact_copy(CompressBatch batch, const std::uint32_t* offsets, std::byte* packed) {
  for_each_page<0>(batch.count, [&](Warp& warp, std::uint32_t page) {
    warp_compact_copy(warp, batch.block(page), batch.sizes[page],
                      packed + kBlockAlignment * offsets[page]);
  });
}

}  // namespace pleat::gpu
