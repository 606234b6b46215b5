// SPDX-License-Identifier: MIT OR Apache-2.0
// Whether a batch of pages is for the GPU or for the processor's cores.
//
// A batch on the GPU crosses the link before the kernel, after it, or both; all three overlap, so
// the slowest decides. Blocks are shorter than pages by the ratio: compression sends pages there
// and gets blocks back, decompression the other way round. What is in the GPU's memory already, or
// stays there, does not cross the link. A batch also has a fixed latency, so a small one is for the
// cores even where the GPU is faster.
#pragma once

#include <cstdint>
#include <string>

namespace pleat::gpu {

enum class Work { kCompress, kDecompress };
// Where the pages of a batch are, or are to be; blocks are in the machine's memory.
enum class Pages { kInHostMemory, kInDeviceMemory };

// In 1e9 bytes of pages a second.
struct OffloadRates {
  double to_device = 0;  // the link, each way
  double from_device = 0;
  double compress = 0;  // the kernels
  double decompress = 0;
  // From the machine's memory and back, as measured: less than the slowest of the three where a
  // batch is too small for them to overlap. 0 where it is not known.
  double compress_host = 0;
  double decompress_host = 0;
  // The same for pages in the GPU's memory.
  double compress_from_device = 0;
  double decompress_to_device = 0;
  double core_compress = 0;  // one core
  double core_decompress = 0;
  double latency_us = 0;  // of the smallest batch on the GPU
};

enum class Bound { kToDevice, kKernel, kFromDevice, kCall };

struct OffloadDecision {
  bool gpu = false;
  double gpu_rate = 0;           // of a batch without end, 1e9 bytes of pages a second
  double cores_rate = 0;         // of the free cores
  Bound bound = Bound::kKernel;  // what limits the GPU
  // The smallest batch for which the GPU is faster, in pages; 0 where none is.
  std::uint64_t pages_min = 0;
  std::string reason;  // a line for the log
};

// `ratio` is bytes of pages for each byte of blocks, at least 1.
OffloadDecision decide_offload(const OffloadRates& rates, Work work, Pages pages, double ratio,
                               unsigned free_cores, std::uint64_t batch_pages);

const char* name_of(Bound bound);

}  // namespace pleat::gpu
