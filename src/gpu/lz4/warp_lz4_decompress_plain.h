// SPDX-License-Identifier: MIT OR Apache-2.0
// Decompression of one LZ4 block of one page by one warp, a sequence after the other: every lane
// reads the same token, and the warp copies the literals and then the match, a lane a byte.
#pragma once

#include "gpu/lz4/lz4_scratch.h"

namespace pleat::gpu {

inline constexpr std::uint32_t kLz4PlainScratch = kLz4Page + kPageBytes;

enum Lz4PlainPhase : unsigned {
  kLz4PlainSequence = kLz4OwnPhases,
  kLz4PlainLiterals,
  kLz4PlainMatch,
};

// Copies to a place of the page, as places of the scratch memory.
PLEAT_DEVICE void lz4_copy_literals(Warp& warp, std::uint32_t from, std::uint32_t to,
                                    std::uint32_t bytes) {
  for (std::uint32_t i = warp.lane(); i < bytes; i += kWarpLanes) {
    warp.count(kLz4PlainLiterals);
    warp.put_u8(to + i, warp.u8(from + i));
  }
}

// Of a match that overlaps itself, `offset` bytes can be copied at once; then those bytes are there
// twice, and twice the offset leads to the same bytes.
PLEAT_DEVICE void lz4_copy_match(Warp& warp, std::uint32_t to, std::uint32_t offset,
                                 std::uint32_t bytes) {
  const std::uint32_t end = to + bytes;
  while (to < end) {
    warp.count(kLz4PlainMatch);
    // What other lanes have written before, literals too.
    warp.sync();
    const std::uint32_t at_once = offset < kWarpLanes ? offset : kWarpLanes;
    const std::uint32_t at = to + warp.lane();
    if (warp.lane() < at_once && at < end) warp.put_u8(at, warp.u8(at - offset));
    to += at_once;
    if (offset < kWarpLanes) offset *= 2;
  }
}

// Makes the page behind the block; false if a rule is broken.
PLEAT_DEVICE bool lz4_make_sequences(Warp& warp, std::uint32_t size) {
  std::uint32_t at = 0;
  std::uint32_t made = 0;
  while (at < size) {
    warp.count(kLz4PlainSequence);
    const std::uint32_t token = warp.u8(at);
    ++at;
    std::uint32_t literals = token >> 4;
    if (literals == 15) literals = lz4_whole_length(warp, &at, size);
    // Neither sum is near 2^32: a block has at most 4096 length bytes.
    if (at + literals > size || made + literals > kPageBytes) return false;
    lz4_copy_literals(warp, at, kLz4Page + made, literals);
    at += literals;
    made += literals;
    if (at == size) return made == kPageBytes;

    if (at + 2 > size) return false;
    const std::uint32_t offset = warp.u8(at) | warp.u8(at + 1) << 8;
    at += 2;
    std::uint32_t match = token & 15;
    if (match == 15) match = lz4_whole_length(warp, &at, size);
    match += kLz4MatchMin;
    if (offset - 1 >= made || made > kLz4MatchStartMax || made + match > kLz4MatchEndMax) {
      return false;
    }
    lz4_copy_match(warp, kLz4Page + made, offset, match);
    made += match;
  }
  return false;
}

// Decompresses a block of `size` bytes. `block` is aligned to 16 and readable up to the next
// multiple of 16; the page is aligned to 16. All lanes return the same.
PLEAT_DEVICE PageStatus warp_lz4_decompress_plain(Warp& warp, const std::byte* block,
                                                  std::uint32_t size, std::byte* page) {
  if (size > kLz4BlockMax) return PageStatus::kTooLarge;
  lz4_stage_block(warp, block, size);
  warp.sync();
  if (!lz4_make_sequences(warp, size)) return PageStatus::kCorrupt;
  warp.sync();
  lz4_store_page(warp, page);
  return PageStatus::kOk;
}

}  // namespace pleat::gpu
