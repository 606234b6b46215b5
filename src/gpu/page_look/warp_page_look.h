// SPDX-License-Identifier: MIT OR Apache-2.0
// What a page looks like, by one warp: codec::look_at with the same verdict for any page, and the
// counts of page_features.h.
#pragma once

#include "base/page.h"
#include "codec/page_look.h"
#include "gpu/page_look/page_features.h"
#include "gpu/simt/simt.h"

namespace pleat::gpu {

// Scratch memory: for each of four samples, which values its bytes have.
inline constexpr std::uint32_t kPageLookScratch = 4 * 256 / 8;

enum PageLookPhase : unsigned {
  kPageLookUnlike,
  kPageLookAgain,
  kPageLookNoise,
  kPageFeaturesLoad,
  kPageFeaturesGroup,
  kPageFeaturesEnd,
};

// The high bit of each byte that is not zero.
PLEAT_DEVICE std::uint32_t nonzero_bytes(std::uint32_t word) {
  return (((word & 0x7F7F7F7F) + 0x7F7F7F7F) | word) & 0x80808080;
}

// Of every eighth 64 bytes, those that are neither zero nor the byte 64 or 128 before: of 512.
PLEAT_DEVICE std::uint32_t look_unlike_bytes(Warp& warp, const std::byte* page) {
  warp.count(kPageLookUnlike);
  const std::byte* const sample = page + 512 * (warp.lane() / 4) + 448 + 16 * (warp.lane() % 4);
  const Words4 words = global_words4(sample);
  const Words4 before = global_words4(sample - 64);
  const Words4 further = global_words4(sample - 128);
  std::uint32_t unlike = 0;
  PLEAT_UNROLL(4)
  for (unsigned i = 0; i < 4; ++i) {
    unlike +=
        popcount(nonzero_bytes(words.word[i]) & nonzero_bytes(words.word[i] ^ before.word[i]) &
                 nonzero_bytes(words.word[i] ^ further.word[i]));
  }
  return warp.reduce_add(unlike);
}

// Whether the 4 bytes at a quarter of the page come again in the next 512.
PLEAT_DEVICE bool look_comes_again(Warp& warp, const std::byte* page) {
  warp.count(kPageLookAgain);
  const std::byte* const bytes = page + kPageSize / 4 + 16 * warp.lane();
  const Words4 words = global_words4(bytes);
  const std::uint32_t behind = global_u32(bytes + 16);
  const std::uint32_t wanted = warp.shuffle(words.word[0], 0);
  bool found = false;
  PLEAT_UNROLL(4)
  for (unsigned i = 0; i < 4; ++i) {
    const std::uint32_t next = i < 3 ? words.word[(i + 1) & 3] : behind;
    PLEAT_UNROLL(3)
    for (unsigned shift = 8; shift < 32; shift += 8) {
      found |= funnel_right(words.word[i], next, shift) == wanted;
    }
    found |= next == wanted;
  }
  return warp.any(found);
}

// Whether each of four samples of 64 bytes is as noise has them; codec/page_look.cpp says how.
PLEAT_DEVICE bool look_is_noise(Warp& warp, const std::byte* page) {
  warp.count(kPageLookNoise);
  // Eight lanes a sample, for 8 bytes and for a word of its bitmap each.
  const unsigned sample = warp.lane() / 8;
  const std::byte* const bytes = page + kPageSize / 4 * sample + 448 + 8 * (warp.lane() % 8);
  const std::uint32_t words[2] = {global_u32(bytes), global_u32(bytes + 4)};
  warp.put_u32(4 * warp.lane(), 0);
  warp.sync();
  PLEAT_UNROLL(2)
  for (unsigned i = 0; i < 2; ++i) {
    PLEAT_UNROLL(4)
    for (unsigned shift = 0; shift < 32; shift += 8) {
      const std::uint32_t value = words[i] >> shift & 0xFF;
      warp.or_u32(32 * sample + 4 * (value / 32), 1u << value % 32);
    }
  }
  warp.sync();
  // Values, and bytes with the high bit above.
  std::uint32_t counts =
      popcount(warp.u32(4 * warp.lane())) +
      ((popcount(words[0] & 0x80808080) + popcount(words[1] & 0x80808080)) << 16);
  PLEAT_UNROLL(3)
  for (unsigned mask = 1; mask < 8; mask *= 2) counts += warp.shuffle_xor(counts, mask);
  const std::uint32_t values = counts & 0xFFFF;
  const std::uint32_t high = counts >> 16;
  return warp.all(values >= 46 && values <= 63 && high >= 16 && high <= 48);
}

// The verdict in all lanes. The page is aligned to 16.
PLEAT_DEVICE codec::PageLook warp_look_at(Warp& warp, const std::byte* page) {
  static_assert(kPageSize == 4096);
  constexpr std::uint32_t kUnlikeMin = 420;
  if (look_unlike_bytes(warp, page) < kUnlikeMin) return codec::PageLook::kWords;
  if (look_comes_again(warp, page)) return codec::PageLook::kBytes;
  return look_is_noise(warp, page) ? codec::PageLook::kNoise : codec::PageLook::kBytes;
}

// All of the features, which lane 0 stores. Page and features are aligned to 16 and to 8.
PLEAT_DEVICE void warp_page_features(Warp& warp, const std::byte* page, PageFeatures* features) {
  const auto look = static_cast<std::uint32_t>(warp_look_at(warp, page));
  std::uint32_t zero_bytes = 0;
  std::uint32_t words = 0;        // zero words, and repeated ones above
  std::uint32_t nibbles[8] = {};  // by the high nibble's bits: that of i, and of i + 8 above
  Words4 row_before = {};
  PLEAT_UNROLL(1)
  for (unsigned group = 0; group < 4; ++group) {
    warp.count(kPageFeaturesGroup);
    // The four high bits of the group's 32 bytes of this lane, a mask each.
    std::uint32_t planes[4] = {};
    PLEAT_UNROLL(2)
    for (unsigned half = 0; half < 2; ++half) {
      warp.count(kPageFeaturesLoad);
      const unsigned row = 2 * group + half;
      const Words4 own = global_words4(page + 512 * row + 16 * warp.lane());
      // From the fourth lane before, which is in the row before for the first four.
      Words4 before;
      PLEAT_UNROLL(4)
      for (unsigned i = 0; i < 4; ++i) {
        const bool gives_last = warp.lane() >= kWarpLanes - 4;
        before.word[i] = warp.shuffle(gives_last ? row_before.word[i] : own.word[i],
                                      warp.lane() + kWarpLanes - 4);
        zero_bytes += 4 - popcount(nonzero_bytes(own.word[i]));
        PLEAT_UNROLL(4)
        for (unsigned plane = 0; plane < 4; ++plane) {
          // Bit 4 + plane of each byte, to where no other word of the group has one.
          const unsigned to = 4 * half + i;
          const std::uint32_t bits = own.word[i] & 0x10101010u << plane;
          planes[plane] |= 4 + plane >= to ? bits >> (4 + plane - to) : bits << (to - 4 - plane);
        }
      }
      const bool has_before = row != 0 || warp.lane() >= 4;
      PLEAT_UNROLL(2)
      for (unsigned i = 0; i < 4; i += 2) {
        const bool zero = (own.word[i] | own.word[i + 1]) == 0;
        const bool repeated =
            has_before && own.word[i] == before.word[i] && own.word[i + 1] == before.word[i + 1];
        words += (zero ? 1 : 0) + (repeated ? 0x10000 : 0);
      }
      row_before = own;
    }
    PLEAT_UNROLL(8)
    for (unsigned i = 0; i < 8; ++i) {
      const std::uint32_t bytes = (i & 1 ? planes[0] : ~planes[0]) &
                                  (i & 2 ? planes[1] : ~planes[1]) &
                                  (i & 4 ? planes[2] : ~planes[2]);
      nibbles[i] += popcount(bytes & ~planes[3]) + (popcount(bytes & planes[3]) << 16);
    }
  }
  warp.count(kPageFeaturesEnd);
  zero_bytes = warp.reduce_add(zero_bytes);
  words = warp.reduce_add(words);
  PLEAT_UNROLL(8)
  for (unsigned i = 0; i < 8; ++i) nibbles[i] = warp.reduce_add(nibbles[i]);
  if (warp.lane() != 0) return;
  auto* const to = reinterpret_cast<std::byte*>(features);
  put_global_u64(to, look | zero_bytes << 16, words);
  PLEAT_UNROLL(4)
  for (unsigned i = 0; i < 8; i += 4) {
    put_global_u64(to + 8 + 2 * i, (nibbles[i] & 0xFFFF) | nibbles[i + 1] << 16,
                   (nibbles[i + 2] & 0xFFFF) | nibbles[i + 3] << 16);
    put_global_u64(to + 24 + 2 * i, nibbles[i] >> 16 | (nibbles[i + 1] & 0xFFFF0000),
                   nibbles[i + 2] >> 16 | (nibbles[i + 3] & 0xFFFF0000));
  }
}

}  // namespace pleat::gpu
