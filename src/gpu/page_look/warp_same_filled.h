// SPDX-License-Identifier: MIT OR Apache-2.0
// Same-filled pages by one warp: whether all 512 words of 8 bytes are equal, and a page of one
// word, as codec::Kernels::same_filled and fill have them. A part of kernels that have phases of
// their own, so it counts none.
#pragma once

#include "gpu/page_bytes.h"
#include "gpu/simt/simt.h"

namespace pleat::gpu {

// In all lanes: whether all 8-byte words of a page are the first one, which is left in word[] in
// any case. The page is aligned to 16.
PLEAT_DEVICE bool warp_same_filled(Warp& warp, const std::byte* page, std::uint32_t* word) {
  static_assert(kPageBytes == 8 * 16 * kWarpLanes);
  const std::byte* const own = page + 16 * warp.lane();
  const Words4 first = global_words4(own);
  word[0] = warp.shuffle(first.word[0], 0);
  word[1] = warp.shuffle(first.word[1], 0);
  std::uint32_t differs = (first.word[0] ^ word[0]) | (first.word[1] ^ word[1]) |
                          (first.word[2] ^ word[0]) | (first.word[3] ^ word[1]);
  // Of most pages that are not same-filled, the first 512 bytes say so.
  if (warp.any(differs != 0)) return false;
  PLEAT_UNROLL(7)
  for (unsigned row = 1; row < 8; ++row) {
    const Words4 words = global_words4(own + 16 * kWarpLanes * row);
    differs |= (words.word[0] ^ word[0]) | (words.word[1] ^ word[1]) | (words.word[2] ^ word[0]) |
               (words.word[3] ^ word[1]);
  }
  return !warp.any(differs != 0);
}

// Fills the page, which is aligned to 16.
PLEAT_DEVICE void warp_fill(Warp& warp, std::byte* page, std::uint32_t low, std::uint32_t high) {
  PLEAT_UNROLL(8)
  for (std::uint32_t at = 0; at < kPageBytes; at += 16 * kWarpLanes) {
    put_global_words4(page + 16 * warp.lane() + at, {{low, high, low, high}});
  }
}

}  // namespace pleat::gpu
