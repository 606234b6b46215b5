// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernels as a GPU gets them: a block is a few warps, which take pages in turns. tests/gpu and
// tools/gpu-instructions know them by these names.
#include <cuda_runtime.h>

#include "gpu/plugin/gpu_device.h"
#include "gpu/plugin/page_kernels.h"

namespace pleat::gpu {
namespace {

constexpr unsigned kWarpsInBlock = 4;
constexpr unsigned kThreads = kWarpsInBlock * kWarpLanes;
// Of a launch; where there are more pages, a warp takes several.
constexpr std::uint32_t kBlocksMax = 65536;

// Runs `one(warp, number)` for each number below count, a warp each.
template <std::uint32_t kScratch, typename One>
__device__ __forceinline__ void for_each(std::uint32_t count, const One& one) {
  extern __shared__ __align__(16) char shared[];
  // By a shuffle, which tells the compiler that it is the same for all lanes.
  const unsigned in_block = __shfl_sync(0xFFFFFFFF, threadIdx.x / kWarpLanes, 0);
  static_assert(kScratch % 16 == 0);
  Warp warp(shared + in_block * kScratch);
  for (std::uint32_t number = blockIdx.x * kWarpsInBlock + in_block; number < count;
       number += gridDim.x * kWarpsInBlock) {
    one(warp, number);
    // The scratch memory is the next page's.
    warp.sync();
  }
}

template <typename Kernel, typename Batch>
int launch(Kernel kernel, std::uint32_t scratch, std::uint32_t count, const Batch& batch,
           device::Stream stream) {
  static_assert(kWarpsInBlock * kScratchMax <= 48 * 1024, "more would have to be asked for");
  if (count == 0) return 0;
  const std::uint32_t blocks = (count + kWarpsInBlock - 1) / kWarpsInBlock;
  kernel<<<blocks < kBlocksMax ? blocks : kBlocksMax, kThreads, kWarpsInBlock * scratch,
           static_cast<cudaStream_t>(stream)>>>(batch);
  return cudaGetLastError();
}

}  // namespace

__global__ void __launch_bounds__(kThreads) line_compress(CompressBatch batch) {
  for_each<LineCodec::kCompressScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    warp_compress_page<LineCodec>(warp, batch, page);
  });
}

__global__ void __launch_bounds__(kThreads) line_decompress(DecompressBatch batch) {
  for_each<LineCodec::kDecompressScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    warp_decompress_page<LineCodec>(warp, batch, page);
  });
}

__global__ void __launch_bounds__(kThreads) lz4_compress(CompressBatch batch) {
  for_each<Lz4Codec::kCompressScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    warp_compress_page<Lz4Codec>(warp, batch, page);
  });
}

__global__ void __launch_bounds__(kThreads) lz4_decompress_plain(DecompressBatch batch) {
  for_each<Lz4PlainCodec::kDecompressScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    warp_decompress_page<Lz4PlainCodec>(warp, batch, page);
  });
}

__global__ void __launch_bounds__(kThreads) lz4_decompress_speculative(DecompressBatch batch) {
  for_each<Lz4Codec::kDecompressScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    warp_decompress_page<Lz4Codec>(warp, batch, page);
  });
}

__global__ void __launch_bounds__(kThreads) page_features(FeaturesBatch batch) {
  for_each<kPageLookScratch>(batch.count, [&](Warp& warp, std::uint32_t page) {
    warp_page_features(warp, batch.pages + std::size_t{kPageBytes} * page, batch.features + page);
  });
}

__global__ void __launch_bounds__(kThreads) sum_chunks(Packing packing) {
  for_each<0>(packing.chunk_count(), [&](Warp& warp, std::uint32_t chunk) {
    warp_sum_chunk(warp, packing, chunk);
  });
}

__global__ void __launch_bounds__(kWarpLanes) scan_chunks(Packing packing) {
  Warp warp(nullptr);
  warp_scan_chunks(warp, packing);
}

__global__ void __launch_bounds__(kThreads) place_chunks(Packing packing) {
  for_each<0>(packing.chunk_count(), [&](Warp& warp, std::uint32_t chunk) {
    warp_place_chunk(warp, packing, chunk);
  });
}

__global__ void __launch_bounds__(kThreads) move_blocks(Packing packing) {
  for_each<0>(packing.count, [&](Warp& warp, std::uint32_t page) {
    warp_move_block(warp, packing, page);
  });
}

namespace device {

int load_kernels() {
  const void* const kernels[] = {
      reinterpret_cast<const void*>(line_compress),
      reinterpret_cast<const void*>(line_decompress),
      reinterpret_cast<const void*>(lz4_compress),
      reinterpret_cast<const void*>(lz4_decompress_plain),
      reinterpret_cast<const void*>(lz4_decompress_speculative),
      reinterpret_cast<const void*>(page_features),
      reinterpret_cast<const void*>(sum_chunks),
      reinterpret_cast<const void*>(scan_chunks),
      reinterpret_cast<const void*>(place_chunks),
      reinterpret_cast<const void*>(move_blocks),
  };
  for (const void* kernel : kernels) {
    cudaFuncAttributes attributes;
    const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel);
    if (error != cudaSuccess) {
      (void)cudaGetLastError();
      return error;
    }
  }
  return 0;
}

int compress(Format format, const CompressBatch& batch, Stream stream) {
  return format == Format::kLine
             ? launch(line_compress, LineCodec::kCompressScratch, batch.count, batch, stream)
             : launch(lz4_compress, Lz4Codec::kCompressScratch, batch.count, batch, stream);
}

int decompress(Format format, const DecompressBatch& batch, Stream stream) {
  switch (format) {
    case Format::kLine:
      return launch(line_decompress, LineCodec::kDecompressScratch, batch.count, batch, stream);
    case Format::kLz4Plain:
      return launch(lz4_decompress_plain, Lz4PlainCodec::kDecompressScratch, batch.count, batch,
                    stream);
    default:
      return launch(lz4_decompress_speculative, Lz4Codec::kDecompressScratch, batch.count, batch,
                    stream);
  }
}

int features(const FeaturesBatch& batch, Stream stream) {
  return launch(page_features, kPageLookScratch, batch.count, batch, stream);
}

int pack(const Packing& packing, Stream stream) {
  int error = launch(sum_chunks, 0, packing.chunk_count(), packing, stream);
  if (error != 0 || packing.count == 0) return error;
  scan_chunks<<<1, kWarpLanes, 0, static_cast<cudaStream_t>(stream)>>>(packing);
  error = cudaGetLastError();
  if (error == 0) error = launch(place_chunks, 0, packing.chunk_count(), packing, stream);
  if (error == 0) error = launch(move_blocks, 0, packing.count, packing, stream);
  return error;
}

}  // namespace device
}  // namespace pleat::gpu
