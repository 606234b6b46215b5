// SPDX-License-Identifier: MIT OR Apache-2.0
// How fast a GPU is with given pages: what the offload rule is fed with, and `pleat bench gpu`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu/plugin/gpu_batches.h"

namespace pleat::gpu {

// As pleat_gpu_rates in include/pleat/pleat_gpu.h.
struct GpuMeasurement {
  double to_device = 0;
  double from_device = 0;
  double compress = 0;
  double decompress = 0;
  double compress_host = 0;
  double decompress_host = 0;
  double latency_us = 0;
  double ratio = 0;
  std::uint32_t raw = 0;
  std::uint32_t same = 0;
  double compress_from_device = 0;
  double decompress_to_device = 0;
};

// 0; -EIO or -ENOMEM with a reason in batches.error(); -EBADMSG where a page does not come back.
int measure(GpuBatches& batches, std::uint32_t count, const std::byte* pages, unsigned repeats,
            GpuMeasurement* out);

}  // namespace pleat::gpu
