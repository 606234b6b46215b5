// SPDX-License-Identifier: MIT OR Apache-2.0
// The compressor of neon.inl.

// How a line's raw bytes are packed, for each two words: where in kLineCompress and behind the
// first zeros of kLineCompressUpper the places of both are, in bytes, and the line's raw bytes up
// to the end of both.
struct LinePacking {
  std::uint32_t lower[4];
  std::int32_t upper[4];
  std::uint32_t ends[4];
};

// What the steps hand on.
struct LineSteps {
  // By word: the place of its hash in the table of positions, in bytes.
  alignas(64) std::uint32_t hashes[kLines][kLineWords];
  // By line: for each word, which bytes are zero; then, which are those of the reference.
  alignas(64) std::uint8_t masks[kLines][2 * kLineWords];
  alignas(64) std::uint16_t chosen[kLines + 8];  // `near` of the reference
  alignas(64) LinePacking packing[kLines];
};

#include "codec/line/neon_choose.inl"

// Lines 0 and 1 have no choice: zeros, and line 0.
PLEAT_INLINE void line_first_lines(const std::byte* page, LineSteps& steps) noexcept {
  const LineBytes first = line_load_bytes(page);
  const LineBytes second = line_load_bytes(page + kLineBytes);
  const uint8x16_t zero = line_gather(line_equal(first, LineBytes{}));
  line_store(steps.masks[0], vpaddq_u8(zero, zero));
  line_store(steps.masks[1], vpaddq_u8(line_gather(line_equal(second, LineBytes{})),
                                       line_gather(line_equal(second, first))));
  steps.chosen[0] = steps.chosen[1] = 0;
}

// A bit a line, by 16 flags at a time.
template <typename Flags>
PLEAT_INLINE std::uint64_t line_bitmap(const Flags& flags) noexcept {
  const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  const uint8x16_t low = vpaddq_u8(vandq_u8(flags(0), bits), vandq_u8(flags(16), bits));
  const uint8x16_t high = vpaddq_u8(vandq_u8(flags(32), bits), vandq_u8(flags(48), bits));
  const uint8x16_t quarters = vpaddq_u8(low, high);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)), 0);
}

struct LineBitmaps {
  std::uint64_t not_zero;
  std::uint64_t ninths;
  std::uint64_t repeats;
};
PLEAT_INLINE LineBitmaps line_bitmaps(LineSteps& steps) noexcept {
  LineBitmaps bitmaps;
  bitmaps.not_zero = ~line_bitmap([&](std::size_t line) {
    const auto empty = [&](std::size_t at) {
      // Of each two lines, the halves that are of zeros.
      const auto* const masks = reinterpret_cast<const std::uint64_t*>(steps.masks[line + at]);
      return vreinterpretq_u32_u64(
          vceqq_u64(vld2q_u64(masks).val[0], vdupq_n_u64(~std::uint64_t{0})));
    };
    const auto four = [&](std::size_t at) {
      return vreinterpretq_u16_u32(vuzp1q_u32(empty(at), empty(at + 2)));
    };
    const auto eight = [&](std::size_t at) {
      return vreinterpretq_u8_u16(vuzp1q_u16(four(at), four(at + 4)));
    };
    return vuzp1q_u8(eight(0), eight(8));
  });
  const auto near = [&](std::size_t at) { return vld1q_u16(steps.chosen + at); };
  bitmaps.ninths = line_bitmap([&](std::size_t line) {
    // The ninth bits are the lowest of the upper bytes.
    const uint8x16_t upper =
        vuzp2q_u8(vreinterpretq_u8_u16(near(line)), vreinterpretq_u8_u16(near(line + 8)));
    return vtstq_u8(upper, upper);
  });
  vst1q_u16(steps.chosen + kLines, vdupq_n_u16(0));
  const std::uint64_t same = line_bitmap([&](std::size_t line) {
    const auto eight = [&](std::size_t at) {
      return vreinterpretq_u8_u16(vceqq_u16(near(at), near(at + 1)));
    };
    return vuzp1q_u8(eight(line), eight(line + 8));
  });
  bitmaps.repeats = ~bitmaps.not_zero | (same << 1 & bitmaps.not_zero << 1) | 3;
  bitmaps.ninths &= ~bitmaps.repeats;
  return bitmaps;
}

// Writes bitmaps and distances, and up to 8 bytes behind them; returns their end.
PLEAT_INLINE std::byte* line_put_distances(const LineBitmaps& bitmaps, const LineSteps& steps,
                                           std::byte* block) noexcept {
  put(block, bitmaps.not_zero);
  put(block + 8, bitmaps.ninths);
  put(block + 16, bitmaps.repeats);
  std::byte* to = block + kLineBitmapsBytes;
#pragma GCC unroll 8
  for (std::size_t line = 0; line < kLines; line += 8) {
    const std::size_t own = ~bitmaps.repeats >> line & 255;
    const uint8x16_t chosen = line_load(steps.chosen + line);
    vst1_u8(reinterpret_cast<std::uint8_t*>(to),
            vqtbl1_u8(vuzp1q_u8(chosen, chosen), vld1_u8(kLineCompress[own].data())));
    to += std::popcount(own);
  }
  return to;
}

// Cost << 4 | symbol of the cheapest symbol of each word, by its bytes that are not zero and those
// that differ from the reference.
PLEAT_INLINE uint8x16_t line_symbol_keys(uint8x16_t not_zero, uint8x16_t differs) noexcept {
  const auto look_up = [](const std::array<std::uint8_t, 16>& table, uint8x16_t index) {
    return vqtbl1q_u8(line_load(table.data()), index);
  };
  const auto own_cost = [](uint8x16_t mask, unsigned symbol) {
    return vaddq_u8(vshlq_n_u8(vcntq_u8(mask), 4),
                    vdupq_n_u8(static_cast<std::uint8_t>(0x10 | symbol)));
  };
  const uint8x16_t low_half = vdupq_n_u8(15);
  const uint8x16_t low = vandq_u8(differs, low_half);
  const uint8x16_t high = vshrq_n_u8(differs, 4);
  const auto fits = [&](std::size_t set) {
    return vandq_u8(look_up(kLineFit.fits[set][0], low), look_up(kLineFit.fits[set][1], high));
  };
  const uint8x16_t cheap = fits(0);
  const uint8x16_t masks =
      vminq_u8(vminq_u8(look_up(kLineFit.cheapest[0], vandq_u8(cheap, low_half)),
                        look_up(kLineFit.cheapest[1], vshrq_n_u8(cheap, 4))),
               look_up(kLineFit.cheapest[2], fits(1)));
  const uint8x16_t reference = vminq_u8(masks, own_cost(differs, kLineOwnReference));

  // Symbols without the reference line: 0 and 12 for the masks 0 and 2, own masks, and the whole
  // word.
  const uint8x16_t second_byte = vceqq_u8(not_zero, vdupq_n_u8(2));
  const uint8x16_t others = vminq_u8(
      vbslq_u8(second_byte, vdupq_n_u8(0x1C), own_cost(not_zero, kLineOwnZero)), vdupq_n_u8(0x81));
  return vminq_u8(vandq_u8(vtstq_u8(not_zero, not_zero), others), reference);
}
static_assert(kLineSymbolMask[0] == 0 && kLineSymbolMask[1] == 0xFF && kLineSymbolMask[12] == 2);

// How 16 words are coded.
struct LineCoded {
  uint8x16_t symbol;
  uint8x16_t is_own;
  uint8x16_t own_mask;
  uint8x16_t raw;
};
PLEAT_INLINE LineCoded line_code(const std::uint8_t* masks) noexcept {
  const uint64x2x2_t halves = vld2q_u64(reinterpret_cast<const std::uint64_t*>(masks));
  const uint8x16_t not_zero = vmvnq_u8(vreinterpretq_u8_u64(halves.val[0]));
  const uint8x16_t differs = vmvnq_u8(vreinterpretq_u8_u64(halves.val[1]));
  LineCoded coded;
  coded.symbol = vandq_u8(line_symbol_keys(not_zero, differs), vdupq_n_u8(15));
  coded.is_own = vcgeq_u8(coded.symbol, vdupq_n_u8(kLineOwnZero));
  coded.own_mask =
      vbslq_u8(vceqq_u8(coded.symbol, vdupq_n_u8(kLineOwnReference)), differs, not_zero);
  coded.raw = vbslq_u8(coded.is_own, coded.own_mask,
                       vqtbl1q_u8(line_load(kLineSymbolMask.data()), coded.symbol));
  return coded;
}

// The places for 2 lines, by the masks of their words and the numbers of bits in them.
PLEAT_INLINE void line_put_places(uint8x16_t raw, uint8x16_t counts,
                                  LinePacking* packing) noexcept {
  const uint16x8_t low_byte = vdupq_n_u16(255);
  const uint16x8_t masks = vreinterpretq_u16_u8(raw);
  const uint16x8_t lower = vandq_u16(masks, low_byte);
  const uint16x8_t upper = vshrq_n_u16(masks, 8);
  const uint16x8_t lower_counts = vandq_u16(vreinterpretq_u16_u8(counts), low_byte);
  vst1q_u32(packing[0].lower, vshll_n_u16(vget_low_u16(lower), 3));
  vst1q_u32(packing[1].lower, vshll_high_n_u16(lower, 3));
  const uint32x4_t uppers[2] = {
      vsubw_u16(vshll_n_u16(vget_low_u16(upper), 5), vget_low_u16(lower_counts)),
      vsubw_high_u16(vshll_high_n_u16(upper, 5), lower_counts)};
  vst1q_s32(packing[0].upper, vreinterpretq_s32_u32(uppers[0]));
  vst1q_s32(packing[1].upper, vreinterpretq_s32_u32(uppers[1]));
}

// Writes the symbols and own masks of all lines, to where they stand in a block and to work.own;
// returns the number of raw bytes. Up to 16 bytes are written behind each.
PLEAT_INLINE std::size_t line_symbols(std::uint64_t not_zero, LineSteps& steps, std::byte* symbols,
                                      std::byte*& own) noexcept {
  const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  uint16x8_t raw_counts = vdupq_n_u16(0);
  for (std::size_t line = 0; line < kLines; line += 4) {
    const LineCoded coded[2] = {line_code(steps.masks[line]), line_code(steps.masks[line + 2])};
    const uint32x4_t words[2] = {vreinterpretq_u32_u8(coded[0].symbol),
                                 vreinterpretq_u32_u8(coded[1].symbol)};
    const uint8x16_t packed = vsliq_n_u8(vreinterpretq_u8_u32(vuzp1q_u32(words[0], words[1])),
                                         vreinterpretq_u8_u32(vuzp2q_u32(words[0], words[1])), 4);
    const std::size_t lines = not_zero >> line & 15;
    line_store(symbols, vqtbl1q_u8(packed, line_load(kLineDwords.compress[lines].data())));
    symbols += kLineDwords.bytes[lines];

    const uint8x16_t counts[2] = {vcntq_u8(coded[0].raw), vcntq_u8(coded[1].raw)};
    const uint8x16_t pairs = vpaddq_u8(counts[0], counts[1]);
    raw_counts = vpadalq_u8(raw_counts, pairs);
    const uint8x16_t ends = line_running_sums(pairs);
    const uint16x8_t wide[2] = {vmovl_u8(vget_low_u8(ends)), vmovl_high_u8(ends)};
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half) {
      LinePacking* const to = steps.packing + line + 2 * half;
      vst1q_u32(to[0].ends, vmovl_u16(vget_low_u16(wide[half])));
      vst1q_u32(to[1].ends, vmovl_high_u16(wide[half]));
    }
    line_put_places(coded[0].raw, counts[0], steps.packing + line);
    line_put_places(coded[1].raw, counts[1], steps.packing + line + 2);

    uint8x16_t own_bits =
        vpaddq_u8(vandq_u8(coded[0].is_own, bits), vandq_u8(coded[1].is_own, bits));
    own_bits = vpaddq_u8(own_bits, own_bits);
    own_bits = vpaddq_u8(own_bits, own_bits);
    const std::uint32_t own_lines = vgetq_lane_u32(vreinterpretq_u32_u8(own_bits), 0);
    const std::uint32_t own_ends =
        vgetq_lane_u32(vreinterpretq_u32_u8(line_running_sums(vcntq_u8(own_bits))), 0);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t own_words = own_lines >> 8 * i & 255;
      const std::size_t begin = i == 0 ? 0 : own_ends >> (8 * i - 8) & 255;
      const uint8x8_t places = vorr_u8(vld1_u8(kLineCompress[own_words].data()),
                                       vdup_n_u8(static_cast<std::uint8_t>(i % 2 * 8)));
      vst1_u8(reinterpret_cast<std::uint8_t*>(own + begin),
              vqtbl1_u8(coded[i / 2].own_mask, places));
    }
    own += own_ends >> 24;
  }
  return vaddvq_u16(raw_counts);
}

// Writes the raw bytes, 16 of the page at a time, and up to 64 bytes behind them.
PLEAT_INLINE void line_pack(const std::byte* page, const LineSteps& steps, std::byte* to) noexcept {
  const auto* const lower_table = reinterpret_cast<const std::byte*>(kLineCompress.data());
  const auto* const upper_table = reinterpret_cast<const std::byte*>(kLineCompressUpper.data()) + 8;
#pragma GCC unroll 2
  for (std::size_t line = 0; line < kLines; ++line) {
    const LinePacking& packing = steps.packing[line];
    const LineBytes value = line_load_bytes(page + kLineBytes * line);
#pragma GCC unroll 4
    for (std::size_t pair = 0; pair < 4; ++pair) {
      const uint8x8_t lower =
          vld1_u8(reinterpret_cast<const std::uint8_t*>(lower_table + packing.lower[pair]));
      const uint8x16_t places =
          vorrq_u8(vcombine_u8(lower, vdup_n_u8(0)), line_load(upper_table + packing.upper[pair]));
      line_store(pair == 0 ? to : to + packing.ends[pair - 1],
                 vqtbl1q_u8(value.part[pair], places));
    }
    to += packing.ends[3];
  }
}

template <unsigned kProbes>
PLEAT_INLINE std::size_t line_compress_level(const std::byte* page, std::byte* dst,
                                             std::size_t capacity, LineWorkspace& work) noexcept {
  LineSteps steps;
  prefetch_page(page);
  line_hash_page(page, work, steps);
  prefetch_destination(dst, capacity);
  line_first_lines(page, steps);
  line_choose<kProbes>(page, work, steps);
  const LineBitmaps bitmaps = line_bitmaps(steps);

  // The header goes to the destination if that has room for any; whole vectors are stored, up to 64
  // bytes behind what they hold, and what stands behind each part is written over by the next.
  std::byte* block = capacity >= kLineHeaderMax + kLineBytes ? dst : work.block;
  std::byte* const symbols = line_put_distances(bitmaps, steps, block);
  std::byte* const own_begin =
      symbols + 4 * static_cast<std::size_t>(std::popcount(bitmaps.not_zero));
  std::byte* own = work.own;
  const std::size_t raw_bytes = line_symbols(bitmaps.not_zero, steps, symbols, own);
  const auto own_bytes = static_cast<std::size_t>(own - work.own);
  const auto header = static_cast<std::size_t>(own_begin - block) + own_bytes;
  const std::size_t total = header + raw_bytes;
  if (total > capacity) return 0;
  for (std::size_t i = 0; i < own_bytes; i += 16) {
    line_store(own_begin + i, line_load(work.own + i));
  }
  const bool direct = total + kLineBytes <= capacity;
  if (!direct && block == dst) {
    std::memcpy(work.block, dst, header);
    block = work.block;
  }
  line_pack(page, steps, block + header);
  if (block != dst) std::memcpy(dst, block, total);
  return total;
}
