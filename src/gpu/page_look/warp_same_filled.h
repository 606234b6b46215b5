// SPDX-License-Identifier: MIT OR Apache-2.0
// Same-filled pages by one warp: whether all 512 words of 8 bytes are equal, and a page of one
// word, as codec::Kernels::same_filled and fill have them. Such pages have no block.
#pragma once

#include "base/page.h"
#include "gpu/simt/simt.h"

namespace pleat::gpu {

enum SameFilledPhase : unsigned { kSameFilledLoad, kSameFilledStore };

// In all lanes: whether the page is same-filled; if so, its word. The page is aligned to 16.
PLEAT_DEVICE bool warp_same_filled(Warp& warp, const std::byte* page, std::uint32_t* low,
                                   std::uint32_t* high) {
  static_assert(kPageSize == 4096);
  for (unsigned row = 0; row < 8; ++row) {
    warp.count(kSameFilledLoad);
    const Words4 words = global_words4(page + 512 * row + 16 * warp.lane());
    if (row == 0) {
      *low = warp.shuffle(words.word[0], 0);
      *high = warp.shuffle(words.word[1], 0);
    }
    const std::uint32_t unequal = (words.word[0] ^ *low) | (words.word[1] ^ *high) |
                                  (words.word[2] ^ *low) | (words.word[3] ^ *high);
    // Of most pages that are not same-filled, the first 512 bytes say so.
    if (warp.any(unequal != 0)) return false;
  }
  return true;
}

// Fills the page, which is aligned to 16.
PLEAT_DEVICE void warp_fill(Warp& warp, std::byte* page, std::uint32_t low, std::uint32_t high) {
  PLEAT_UNROLL(8)
  for (std::uint32_t at = 16 * warp.lane(); at < 4096; at += 16 * kWarpLanes) {
    warp.count(kSameFilledStore);
    put_global_words4(page + at, {{low, high, low, high}});
  }
}

}  // namespace pleat::gpu
