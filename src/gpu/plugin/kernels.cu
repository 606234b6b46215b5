// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernels as a GPU gets them: a block is a few warps, which take pages in turns.
#include "gpu/line/warp_line_compress.h"
#include "gpu/line/warp_line_decompress.h"
#include "gpu/lz4/warp_lz4_decompress_plain.h"
#include "gpu/lz4/warp_lz4_decompress_speculative.h"
#include "gpu/plugin/batches.h"

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

__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes) line_compress(CompressBatch batch) {
  for_each_page<kLineCompressScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    const std::uint32_t size =
        warp_line_compress(warp, batch.page(page), batch.block(page), batch.capacity);
    if (warp.lane() == 0) batch.sizes[page] = size;
  });
}

__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes)
    lz4_decompress_plain(DecompressBatch batch) {
  for_each_page<kLz4PlainScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    const PageStatus status =
        warp_lz4_decompress_plain(warp, batch.block(page), batch.sizes[page], batch.page(page));
    if (warp.lane() == 0) batch.statuses[page] = status;
  });
}

__global__ void __launch_bounds__(kWarpsInBlock* kWarpLanes)
    lz4_decompress_speculative(DecompressBatch batch) {
  for_each_page<kLz4SpeculativeScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    const PageStatus status = warp_lz4_decompress_speculative(warp, batch.block(page),
                                                              batch.sizes[page], batch.page(page));
    if (warp.lane() == 0) batch.statuses[page] = status;
  });
}

}  // namespace pleat::gpu
