// SPDX-License-Identifier: MIT OR Apache-2.0
// Packs the blocks of a batch, which compression leaves in slots of one size, so that no gaps cross
// the bus: block after block, each at a multiple of 16 bytes, in the order of the pages.
//
// Three kernels of one warp each say where: warp_compact_sum for each 1,024 blocks,
// warp_compact_scan over these sums, warp_compact_offsets for each 1,024 blocks again; then
// warp_compact_copy moves a block. Offsets and sums are counted in units of 16 bytes, so that 32
// bits reach 64 GiB.
#pragma once

#include "gpu/simt/simt.h"

namespace pleat::gpu {

inline constexpr std::uint32_t kCompactChunk = 1024;      // blocks
inline constexpr std::uint32_t kCompactChunksMax = 1024;  // of a batch
inline constexpr std::uint32_t kCompactMax =
    kCompactChunk * kCompactChunksMax;  // blocks of a batch

enum CompactPhase : unsigned { kCompactSum, kCompactScan, kCompactOffsets, kCompactCopy };

// The units of a block; none where there is no block, since the page did not fit.
PLEAT_DEVICE std::uint32_t compact_units(std::uint32_t size) { return (size + 15) / 16; }

// The units of chunk `chunk` of the `count` blocks, to sums[chunk].
PLEAT_DEVICE void warp_compact_sum(Warp& warp, const std::uint32_t* sizes, std::uint32_t count,
                                   std::uint32_t chunk, std::uint32_t* sums) {
  std::uint32_t sum = 0;
  const std::uint32_t end =
      (chunk + 1) * kCompactChunk < count ? (chunk + 1) * kCompactChunk : count;
  for (std::uint32_t i = chunk * kCompactChunk + warp.lane(); i < end; i += kWarpLanes) {
    warp.count(kCompactSum);
    sum += compact_units(global_u32(sizes + i));
  }
  sum = warp.reduce_add(sum);
  if (warp.lane() == 0) put_global_u32(sums + chunk, sum);
}

// Makes the sums of `count` chunks into where each begins; returns the units of all of them.
PLEAT_DEVICE std::uint32_t warp_compact_scan(Warp& warp, std::uint32_t* sums, std::uint32_t count) {
  std::uint32_t begin = 0;
  for (std::uint32_t first = 0; first < count; first += kWarpLanes) {
    warp.count(kCompactScan);
    const std::uint32_t i = first + warp.lane();
    const std::uint32_t sum = i < count ? global_u32(sums + i) : 0;
    std::uint32_t total;
    const std::uint32_t before = scan_below(warp, sum, &total);
    if (i < count) put_global_u32(sums + i, begin + before);
    begin += total;
  }
  return begin;
}

// Where each block of a chunk begins, of which the first one begins at `begin`.
PLEAT_DEVICE void warp_compact_offsets(Warp& warp, const std::uint32_t* sizes, std::uint32_t count,
                                       std::uint32_t chunk, std::uint32_t begin,
                                       std::uint32_t* offsets) {
  const std::uint32_t end =
      (chunk + 1) * kCompactChunk < count ? (chunk + 1) * kCompactChunk : count;
  for (std::uint32_t first = chunk * kCompactChunk; first < end; first += kWarpLanes) {
    warp.count(kCompactOffsets);
    const std::uint32_t i = first + warp.lane();
    const std::uint32_t units = i < end ? compact_units(global_u32(sizes + i)) : 0;
    std::uint32_t total;
    const std::uint32_t before = scan_below(warp, units, &total);
    if (i < end) put_global_u32(offsets + i, begin + before);
    begin += total;
  }
}

// Copies a block from its slot; both are aligned to 16. The rest of the last 16 bytes is zeros, so
// that the packed bytes depend on the blocks alone.
PLEAT_DEVICE void warp_compact_copy(Warp& warp, const std::byte* slot, std::uint32_t size,
                                    std::byte* packed) {
  for (std::uint32_t at = 16 * warp.lane(); at < size; at += 16 * kWarpLanes) {
    warp.count(kCompactCopy);
    Words4 words = global_words4(slot + at);
    const std::uint32_t left = size - at;
    PLEAT_UNROLL(4)
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint32_t bytes = left < 4 * i ? 0 : left < 4 * i + 4 ? left - 4 * i : 4;
      words.word[i] &= funnel_right_clamped(0xFFFFFFFF, 0, 32 - 8 * bytes);
    }
    put_global_words4(packed + at, words);
  }
}

}  // namespace pleat::gpu
