// SPDX-License-Identifier: MIT OR Apache-2.0
#include "gpu/offload.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/page.h"

namespace pleat::gpu {

const char* name_of(Bound bound) {
  switch (bound) {
    case Bound::kToDevice:
      return "link to the GPU";
    case Bound::kFromDevice:
      return "link from the GPU";
    case Bound::kCall:
      return "call as a whole";
    default:
      return "kernel";
  }
}

OffloadDecision decide_offload(const OffloadRates& rates, Work work, Pages pages, double ratio,
                               unsigned free_cores, std::uint64_t batch_pages) {
  const bool compress = work == Work::kCompress;
  const bool resident = pages == Pages::kInDeviceMemory;
  OffloadDecision decision;
  decision.gpu_rate = compress ? rates.compress : rates.decompress;
  const auto limit = [&](double rate, Bound bound) {
    if (rate >= decision.gpu_rate) return;
    decision.gpu_rate = rate;
    decision.bound = bound;
  };
  if (compress) {
    if (!resident) limit(rates.to_device, Bound::kToDevice);
    limit(rates.from_device * ratio, Bound::kFromDevice);
  } else {
    limit(rates.to_device * ratio, Bound::kToDevice);
    if (!resident) limit(rates.from_device, Bound::kFromDevice);
  }
  double call = compress ? rates.compress_host : rates.decompress_host;
  if (resident) call = compress ? rates.compress_from_device : rates.decompress_to_device;
  if (call > 0) limit(call, Bound::kCall);
  decision.cores_rate = free_cores * (compress ? rates.core_compress : rates.core_decompress);
  // Pages in the GPU's memory cross the link as they are where the cores work on them.
  if (resident) {
    decision.cores_rate =
        std::min(decision.cores_rate, compress ? rates.from_device : rates.to_device);
  }

  std::array<char, 160> line;
  if (decision.gpu_rate <= decision.cores_rate) {
    std::snprintf(line.data(), line.size(),
                  "cores: %u free do %.1f GB/s, the GPU at most %.1f (limit: %s)", free_cores,
                  decision.cores_rate, decision.gpu_rate, name_of(decision.bound));
    decision.reason = line.data();
    return decision;
  }
  // latency + n / gpu <= n / cores, n in bytes; 1e9 bytes a second are a kilobyte a microsecond.
  const double per_byte_us =
      (decision.cores_rate > 0 ? 1e-3 / decision.cores_rate : HUGE_VAL) - 1e-3 / decision.gpu_rate;
  const double pages_min = rates.latency_us / (per_byte_us * static_cast<double>(kPageSize));
  // Rates that are nearly equal ask for batches that nobody has.
  constexpr double kPagesMax = 1e15;
  decision.pages_min = static_cast<std::uint64_t>(std::clamp(std::ceil(pages_min), 1.0, kPagesMax));
  decision.gpu = batch_pages >= decision.pages_min;
  std::snprintf(line.data(), line.size(),
                "%s: %llu pages of at least %llu; GPU %.1f GB/s (limit: %s), %u free cores %.1f",
                decision.gpu ? "GPU" : "cores", static_cast<unsigned long long>(batch_pages),
                static_cast<unsigned long long>(decision.pages_min), decision.gpu_rate,
                name_of(decision.bound), free_cores, decision.cores_rate);
  decision.reason = line.data();
  return decision;
}

}  // namespace pleat::gpu
