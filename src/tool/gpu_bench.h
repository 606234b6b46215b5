// SPDX-License-Identifier: MIT OR Apache-2.0
// Measures batches of pages on the GPU, all cores of the processor beside it: `pleat bench gpu`,
// and the rates that `pleat gpu info` decides by.
//
// A batch is drawn from the page sets without same-filled pages, in shuffled order, anew for each
// size; where it is larger than they are, pages come again. Throughput is uncompressed bytes, the
// median of the repeats after one that is not counted: by the GPU's clock in its memory and on the
// link, by wall clock else. Every page that has a block is decompressed and compared, on both
// sides; every page at all where pages in the GPU's memory are saved and brought back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "codec/kernels.h"
#include "gpu/offload.h"
#include "pleat/pleat_gpu.h"
#include "tool/page_set.h"

namespace pleat::tool {

struct GpuBenchOptions {
  std::vector<std::string> codecs = {"line", "lz4"};
  std::vector<std::uint32_t> batches = {256, 4096, 65536};  // pages
  std::uint32_t device = 0;
  unsigned repeats = 20;
  unsigned threads = 1;  // that the processor's part runs on
  std::uint64_t seed = 1;
};

// 1e9 bytes of pages a second.
struct CoresRates {
  double compress = 0;
  double decompress = 0;
  double ratio = 0;
};

struct GpuBenchRow {
  std::string codec;
  std::uint32_t pages = 0;
  pleat_gpu_rates gpu = {};
  CoresRates cores;
};

struct GpuBenchReport {
  pleat_gpu_info info = {};
  unsigned threads = 0;
  unsigned repeats = 0;
  std::size_t distinct_pages = 0;
  std::size_t same_filled = 0;  // that were left out
  std::string pages_hash;       // of the distinct pages, XXH64
  std::vector<GpuBenchRow> rows;
};

// What a codec of the CPU does with the pages on that many threads.
Result<CoresRates> measure_cores(const std::string& codec, const codec::Kernels& kernels,
                                 const PageBuffer& pages, std::size_t count, unsigned threads,
                                 unsigned repeats);

Result<GpuBenchReport> run_gpu_bench(const std::vector<PageSet>& sets,
                                     const codec::Kernels& kernels, const GpuBenchOptions& options);

std::string to_text(const GpuBenchReport& report);

struct GpuInfoOptions {
  std::uint32_t device = 0;
  std::string codec = "line";
  unsigned threads = 1;  // free cores
};

// Which GPU there is, what it does with a standard set of pages, and for which batches the offload
// rule takes it.
Result<std::string> describe_gpu(const codec::Kernels& kernels, const GpuInfoOptions& options);

}  // namespace pleat::tool
