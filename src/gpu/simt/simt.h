// SPDX-License-Identifier: MIT OR Apache-2.0
// What a kernel is written in: a warp of 32 lanes, its scratch memory, and a few instructions on
// words. The same source is compiled by nvcc, where each call is an instruction or two, and by any
// C++ compiler, where the emulator runs the lanes as fibers and checks what a GPU would not say.
//
// A kernel is a function of a Warp that all lanes call. The rules that the emulator enforces:
// every collective is called by all 32 lanes, in the same order; lanes that exchange data through
// scratch memory call sync() between the write and the read, and between the read and the next
// write; loads and stores are aligned to their size; nothing outside the scratch memory is touched.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pleat::gpu {

inline constexpr unsigned kWarpLanes = 32;

// 16 bytes, the widest access of a lane.
struct alignas(16) Words4 {
  std::uint32_t word[4];
};

}  // namespace pleat::gpu

#if defined(__CUDACC__)
#include "gpu/simt/cuda_warp.h"
#else
#include "gpu/simt/emulated_warp.h"
#endif

namespace pleat::gpu {

// The word at any place of the scratch memory, from the two aligned ones that hold it.
PLEAT_DEVICE std::uint32_t load_unaligned(Warp& warp, std::uint32_t at) {
  const std::uint32_t low = warp.u32(at & ~3u);
  const std::uint32_t high = warp.u32((at & ~3u) + 4);
  return funnel_right(low, high, 8 * (at & 3));
}

// Of 32 values, the sum of those of the lanes below; *total is the sum of all.
PLEAT_DEVICE std::uint32_t scan_below(Warp& warp, std::uint32_t value, std::uint32_t* total) {
  std::uint32_t sum = value;
  PLEAT_UNROLL(5)
  for (unsigned distance = 1; distance < kWarpLanes; distance *= 2) {
    sum = warp.add_from_below(sum, distance);
  }
  *total = warp.shuffle(sum, kWarpLanes - 1);
  return sum - value;
}

}  // namespace pleat::gpu
