// SPDX-License-Identifier: MIT OR Apache-2.0
// Packs the blocks of a batch, which compression leaves in slots of one size, so that no gaps cross
// the bus: block after block, each at a multiple of a unit, in the order of the pages.
//
// One warp each says where: warp_compact_sum for each chunk of kChunkPages blocks,
// warp_compact_scan for these sums, warp_compact_offsets for each chunk again; then
// warp_compact_copy moves a block.
#pragma once

#include "gpu/plugin/batches.h"
#include "gpu/simt/simt.h"

namespace pleat::gpu {

enum CompactPhase : unsigned { kCompactSum, kCompactScan, kCompactOffsets, kCompactCopy };

// The last block of a chunk is before this one, of `count` in all.
PLEAT_DEVICE std::uint32_t compact_chunk_end(std::uint32_t chunk, std::uint32_t count) {
  const std::uint32_t end = (chunk + 1) * kChunkPages;
  return end < count ? end : count;
}

// The units of a chunk's blocks, to sums[chunk].
PLEAT_DEVICE void warp_compact_sum(Warp& warp, const std::uint32_t* sizes, std::uint32_t count,
                                   std::uint32_t chunk, std::uint32_t* sums) {
  const std::uint32_t end = compact_chunk_end(chunk, count);
  std::uint32_t sum = 0;
  for (std::uint32_t i = chunk * kChunkPages + warp.lane(); i < end; i += kWarpLanes) {
    warp.count(kCompactSum);
    sum += units_of(global_u32(sizes + i));
  }
  sum = warp.reduce_add(sum);
  if (warp.lane() == 0) put_global_u32(sums + chunk, sum);
}

// Makes the sums of `count` chunks into where each begins, the first one at `begin`; returns where
// the last one ends.
PLEAT_DEVICE std::uint32_t warp_compact_scan(Warp& warp, std::uint32_t* sums, std::uint32_t count,
                                             std::uint32_t begin) {
  for (std::uint32_t first = 0; first < count; first += kWarpLanes) {
    warp.count(kCompactScan);
    const std::uint32_t i = first + warp.lane();
    std::uint32_t total;
    const std::uint32_t before = scan_below(warp, i < count ? global_u32(sums + i) : 0, &total);
    if (i < count) put_global_u32(sums + i, begin + before);
    begin += total;
  }
  return begin;
}

// Where each block of a chunk begins, of which the first one begins at `begin`.
PLEAT_DEVICE void warp_compact_offsets(Warp& warp, const std::uint32_t* sizes, std::uint32_t count,
                                       std::uint32_t chunk, std::uint32_t begin,
                                       std::uint32_t* offsets) {
  const std::uint32_t end = compact_chunk_end(chunk, count);
  for (std::uint32_t first = chunk * kChunkPages; first < end; first += kWarpLanes) {
    warp.count(kCompactOffsets);
    const std::uint32_t i = first + warp.lane();
    std::uint32_t total;
    const std::uint32_t before =
        scan_below(warp, i < end ? units_of(global_u32(sizes + i)) : 0, &total);
    if (i < end) put_global_u32(offsets + i, begin + before);
    begin += total;
  }
}

// Copies a block from its slot; both are aligned to 16. The rest of the last unit becomes zeros: a
// slot holds there what was in it before, and what is packed depends on the blocks alone.
PLEAT_DEVICE void warp_compact_copy(Warp& warp, const std::byte* slot, std::uint32_t size,
                                    std::byte* packed) {
  PLEAT_UNROLL(4)
  for (std::uint32_t at = kUnitBytes * warp.lane(); at < size; at += kUnitBytes * kWarpLanes) {
    warp.count(kCompactCopy);
    Words4 words = global_words4(slot + at);
    const std::uint32_t left = size - at;
    if (left < kUnitBytes) {
      PLEAT_UNROLL(4)
      for (std::uint32_t i = 0; i < 4; ++i) {
        const std::uint32_t bytes = left < 4 * i ? 0 : left < 4 * i + 4 ? left - 4 * i : 4;
        words.word[i] &= funnel_right_clamped(0xFFFFFFFF, 0, 32 - 8 * bytes);
      }
    }
    put_global_words4(packed + at, words);
  }
}

}  // namespace pleat::gpu
