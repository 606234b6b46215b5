// SPDX-License-Identifier: MIT OR Apache-2.0
// What both ways to decompress LZ4 have in common (docs/formats/lz4.md): the block comes into the
// scratch memory as a whole, the page is made behind it and leaves as a whole.
#pragma once

#include "gpu/page_bytes.h"
#include "gpu/page_status.h"
#include "gpu/simt/simt.h"

namespace pleat::gpu {

inline constexpr std::uint32_t kLz4BlockMax = 4096;
inline constexpr std::uint32_t kLz4Page = kLz4BlockMax;  // in the scratch memory

// Rules 4 and 5 of the format: where the last match may start and end.
inline constexpr std::uint32_t kLz4MatchStartMax = kPageBytes - 12;
inline constexpr std::uint32_t kLz4MatchEndMax = kPageBytes - 5;
inline constexpr std::uint32_t kLz4MatchMin = 4;

// The first phases of both.
enum Lz4Phase : unsigned { kLz4Stage, kLz4Store, kLz4LengthByte, kLz4OwnPhases };

PLEAT_DEVICE void lz4_stage_block(Warp& warp, const std::byte* block, std::uint32_t size) {
  PLEAT_UNROLL(4)
  for (std::uint32_t at = 16 * warp.lane(); at < size; at += 16 * kWarpLanes) {
    warp.count(kLz4Stage);
    warp.put_words4(at, global_words4(block + at));
  }
}

PLEAT_DEVICE void lz4_store_page(Warp& warp, std::byte* page) {
  PLEAT_UNROLL(8)
  for (std::uint32_t at = 0; at < kPageBytes; at += 16 * kWarpLanes) {
    warp.count(kLz4Store);
    put_global_words4(page + at + 16 * warp.lane(), warp.words4(kLz4Page + at + 16 * warp.lane()));
  }
}

// Adds the bytes that follow to a length of 15, of which *at is the first, and moves *at behind
// them. A block that ends in them is told by *at, which is behind its end then. The first one is
// read in any case, and may lie right behind the block.
PLEAT_DEVICE std::uint32_t lz4_whole_length(Warp& warp, std::uint32_t* at, std::uint32_t size) {
  std::uint32_t byte = warp.u8((*at)++);
  std::uint32_t length = 15 + byte;
  while (byte == 255 && *at < size) {
    warp.count(kLz4LengthByte);
    byte = warp.u8((*at)++);
    length += byte;
  }
  // Of a block whose last byte is 255.
  if (byte == 255) ++*at;
  return length;
}

}  // namespace pleat::gpu
