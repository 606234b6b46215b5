// SPDX-License-Identifier: MIT OR Apache-2.0
// The decompressor of neon.inl.

enum class LineVerdict { kGood, kBad, kCutOff };

// Shuffles of each 4 bytes of a register to 4 words of 32 bits.
struct LineWiden {
  uint8x16_t index[4];
};
PLEAT_INLINE LineWiden line_widen() noexcept {
  LineWiden widen;
  for (std::uint32_t part = 0; part < 4; ++part) {
    const std::uint32_t first = 0xFFFFFF00u + 4 * part;
    const uint32x4_t index = {first, first + 1, first + 2, first + 3};
    widen.index[part] = vreinterpretq_u8_u32(index);
  }
  return widen;
}

// What the header says of a line's words.
struct LineParts {
  // By word: where its row of kLineMergeLower or kLineMergeUpper begins, in bytes.
  std::uint32_t rows[kLineWords];
  // For each two words: the raw bytes of the line up to the end of both.
  std::uint32_t ends[4];
};

// Where each line's reference begins, in bytes from the page's start; false if it is before that.
// 64 bytes can be read behind the bitmaps.
PLEAT_INLINE bool line_distances(const std::byte* src, std::uint64_t ninths, std::uint64_t repeats,
                                 std::uint16_t* from) noexcept {
  // A ninth bit holds for the lines that inherit it: added to the run of those, it carries through
  // all of the run.
  const std::uint64_t far = ninths | (repeats & ~(repeats + ((ninths << 1) & repeats)));
  const uint8x16x4_t list =
      vld1q_u8_x4(reinterpret_cast<const std::uint8_t*>(src + kLineBitmapsBytes));
  const std::uint64_t own = ~repeats;
  const uint8x16_t own_bits = vreinterpretq_u8_u64(vdupq_n_u64(own));
  const uint8x16_t far_bits = vreinterpretq_u8_u64(vdupq_n_u64(far));
  // By 8 lines, the distances before them, less 1: the place of a line's distance in the list is
  // that and the distances from the first of the 8 on. Where there is none, the place is out of the
  // list, and the distance zero.
  const std::uint64_t counts =
      vget_lane_u64(vreinterpret_u64_u8(vcnt_u8(vget_low_u8(own_bits))), 0);
  const uint8x16_t before =
      vsubq_u8(vreinterpretq_u8_u64(vdupq_n_u64(counts * 0x0101010101010101 << 8)), vdupq_n_u8(1));
  const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  const uint8x16_t bits_up_to = vreinterpretq_u8_u64(vdupq_n_u64(0xFF7F3F1F0F070301));
  uint8x16_t spread = vcombine_u8(vdup_n_u8(0), vdup_n_u8(1));
  uint16x8_t beyond = vdupq_n_u16(0);
#pragma GCC unroll 4
  for (std::size_t line = 0; line < kLines; line += 16) {
    const uint8x16_t place = vaddq_u8(vcntq_u8(vandq_u8(vqtbl1q_u8(own_bits, spread), bits_up_to)),
                                      vqtbl1q_u8(before, spread));
    const uint8x16_t low = vqtbl4q_u8(list, place);
    const uint8x16_t high = vshrq_n_u8(vtstq_u8(vqtbl1q_u8(far_bits, spread), bits), 7);
    spread = vaddq_u8(spread, vdupq_n_u8(2));
    const auto put_from = [&](uint8x16_t near, std::size_t at) {
      const uint16x8_t limit = vld1q_u16(kLineNearMax.data() + at);
      const uint16x8_t words = vsubq_u16(limit, vreinterpretq_u16_u8(near));
      beyond = vorrq_u16(beyond, words);
      vst1q_u16(from + at, vshlq_n_u16(words, 3));
    };
    put_from(vzip1q_u8(low, high), line);
    put_from(vzip2q_u8(low, high), line + 8);
  }
  return vmaxvq_u16(beyond) < 0x8000;
}

// The constants of line_masks.
struct LineMaskTables {
  uint8x16_t of_symbol;
  // For each byte, of the sums of fours, the one of the four before, or a zero.
  uint8x16_t four_before[2];
};
PLEAT_INLINE LineMaskTables line_mask_tables() noexcept {
  constexpr std::uint32_t kSame = 0x01010101;
  const uint32x4_t first = {8 * kSame, 0, kSame, 2 * kSame};
  const uint32x4_t second = {8 * kSame, 4 * kSame, 5 * kSame, 6 * kSame};
  return {line_load(kLineSymbolMask.data()),
          {vreinterpretq_u8_u32(first), vreinterpretq_u8_u32(second)}};
}

// The masks of 32 symbols, 4 lines in two registers. Puts `own` behind the own masks among them;
// 32 bytes can be read from there.
PLEAT_INLINE void line_masks(const LineMaskTables& tables, const uint8x16_t* symbol,
                             const std::byte*& own, uint8x16_t* mask) noexcept {
  const uint8x16_t first_own = vdupq_n_u8(kLineOwnZero);
  const uint8x16_t is_own[2] = {vcgeq_u8(symbol[0], first_own), vcgeq_u8(symbol[1], first_own)};
  // The own masks of a register up to each word: of its four words, and of the fours before.
  const uint8x16_t counts[2] = {line_running_counts(is_own[0]), line_running_counts(is_own[1])};
  const uint8x16_t of_four = vuzp2q_u8(vuzp2q_u8(counts[0], counts[1]), vdupq_n_u8(0));
  const uint8x16_t sums = line_running_sums(of_four);
  const uint8x16_t places = vsubq_u8(sums, vdupq_n_u8(1));
  const std::byte* const second = own + vgetq_lane_u8(sums, 3);
  const uint8x16_t own_masks[2] = {
      vqtbl1q_u8(line_load(own), vaddq_u8(counts[0], vqtbl1q_u8(places, tables.four_before[0]))),
      vqtbl1q_u8(line_load(second),
                 vaddq_u8(counts[1], vqtbl1q_u8(places, tables.four_before[1])))};
  own = second + vgetq_lane_u8(sums, 7);
  mask[0] = vbslq_u8(is_own[0], own_masks[0], vqtbl1q_u8(tables.of_symbol, symbol[0]));
  mask[1] = vbslq_u8(is_own[1], own_masks[1], vqtbl1q_u8(tables.of_symbol, symbol[1]));
}

// Puts a line together, whose raw bytes begin at `data`; 64 can be read from there.
PLEAT_INLINE void line_merge(const std::byte* data, const LineParts& parts, const std::byte* from,
                             std::byte* to) noexcept {
  const auto* const lower = reinterpret_cast<const std::byte*>(kLineMergeLower.data());
  const auto* const upper = reinterpret_cast<const std::byte*>(kLineMergeUpper.data());
  uint8x16_t value[4];
#pragma GCC unroll 4
  for (std::size_t pair = 0; pair < 4; ++pair) {
    const uint8x16_t places = vaddq_u8(line_load(lower + parts.rows[2 * pair]),
                                       line_load(upper + parts.rows[2 * pair + 1]));
    const uint8x16x2_t bytes = {
        {line_load(pair == 0 ? data : data + parts.ends[pair - 1]), vdupq_n_u8(0)}};
    value[pair] = vqtbx2q_u8(line_load(from + 16 * pair), bytes, places);
  }
#pragma GCC unroll 4
  for (std::size_t pair = 0; pair < 4; ++pair) line_store(to + 16 * pair, value[pair]);
}

// Decodes a block of which `readable` bytes can be read, at least 256. Cut off: the header is too
// near to the end of those.
PLEAT_INLINE LineVerdict line_decode(const std::byte* src, std::size_t size, std::size_t readable,
                                     std::byte* page) noexcept {
  const std::uint64_t not_zero = load_u64(src);
  const std::uint64_t ninths = load_u64(src + 8);
  const std::uint64_t repeats = load_u64(src + 16);
  if ((repeats & 1) == 0 || (ninths & repeats) != 0) return LineVerdict::kBad;
  alignas(64) std::uint16_t from[kLines];
  if (!line_distances(src, ninths, repeats, from)) return LineVerdict::kBad;

  // The symbols: for each line which bytes are raw, and which words come from the reference.
  const std::byte* symbols = src + kLineBitmapsBytes + std::popcount(~repeats);
  const std::byte* own = symbols + 4 * std::popcount(not_zero);
  const std::byte* const readable_end = src + readable;
  const LineMaskTables tables = line_mask_tables();
  const uint8x16_t is_reference = vshrq_n_u8(line_load(kLineIsReference.data()), 7);
  const LineWiden widen = line_widen();
  alignas(64) LineParts parts[kLines];
  uint16x8_t raw_counts = vdupq_n_u16(0);
  for (std::size_t line = 0; line < kLines; line += 4) {
    // 32 bytes are read from the own masks, which follow on the symbols.
    if (readable_end - own < 32) return LineVerdict::kCutOff;
    const std::size_t lines = std::to_integer<unsigned>(src[line / 8]) >> line % 8 & 15;
    const uint8x16_t packed =
        vqtbl1q_u8(line_load(symbols), line_load(kLineDwords.expand[lines].data()));
    symbols += kLineDwords.bytes[lines];
    const uint32x4_t low = vreinterpretq_u32_u8(vandq_u8(packed, vdupq_n_u8(15)));
    const uint32x4_t high = vreinterpretq_u32_u8(vshrq_n_u8(packed, 4));
    const uint8x16_t symbol[2] = {vreinterpretq_u8_u32(vzip1q_u32(low, high)),
                                  vreinterpretq_u8_u32(vzip2q_u32(low, high))};
    uint8x16_t mask[2];
    line_masks(tables, symbol, own, mask);

    const uint8x16_t pairs = vpaddq_u8(vcntq_u8(mask[0]), vcntq_u8(mask[1]));
    raw_counts = vpadalq_u8(raw_counts, pairs);
    const uint8x16_t ends = line_running_sums(pairs);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      vst1q_u32(parts[line + i].ends, vreinterpretq_u32_u8(vqtbl1q_u8(ends, widen.index[i])));
    }
    const auto put_rows = [&](uint8x16_t mask_and_reference, LineParts& of) {
      const uint16x8_t rows = vreinterpretq_u16_u8(mask_and_reference);
      vst1q_u32(of.rows, vshll_n_u16(vget_low_u16(rows), 4));
      vst1q_u32(of.rows + 4, vshll_high_n_u16(rows, 4));
    };
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half) {
      const uint8x16_t reference = vqtbl1q_u8(is_reference, symbol[half]);
      put_rows(vzip1q_u8(mask[half], reference), parts[line + 2 * half]);
      put_rows(vzip2q_u8(mask[half], reference), parts[line + 2 * half + 1]);
    }
  }
  if (static_cast<std::size_t>(own - src) + vaddvq_u16(raw_counts) != size) {
    return LineVerdict::kBad;
  }

  // Line 0 has no reference.
  for (std::uint32_t& row : parts[0].rows) row &= 16 * 256 - 1;
  const std::byte* data = own;
  const auto copy = [&](std::size_t line) {
    line_merge(data, parts[line], page + from[line], page + kLineBytes * line);
    data += parts[line].ends[3];
  };
  std::size_t line = 0;
  const std::byte* const last_load = readable_end - 4 * kLineBytes;
  for (; line < kLines && data <= last_load; line += 4) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) copy(line + i);
  }
  if (line < kLines) {
    // The rest of the block, with room behind it.
    alignas(16) std::byte tail[5 * kLineBytes] = {};
    std::memcpy(tail, last_load, 4 * kLineBytes);
    data = tail + (data - last_load);
    for (; line < kLines; ++line) copy(line);
  }
  return LineVerdict::kGood;
}

PLEAT_INLINE bool line_decompress(const std::byte* src, std::size_t size,
                                  std::byte* page) noexcept {
  if (size < kLineBitmapsBytes) return false;
  const std::size_t symbols_end = kLineBitmapsBytes +
                                  static_cast<std::size_t>(std::popcount(~load_u64(src + 16))) +
                                  4 * static_cast<std::size_t>(std::popcount(load_u64(src)));
  if (symbols_end > size) return false;
  // The raw bytes are read, and the page is written, only after the header is decoded: time
  // enough to fetch all their lines.
  prefetch(src, size);
  LineVerdict verdict = LineVerdict::kCutOff;
  if (size >= 4 * kLineBytes) verdict = line_decode(src, size, size, page);
  if (verdict != LineVerdict::kCutOff) return verdict == LineVerdict::kGood;
  // The largest header ends long before the end of this; so a block that is cut off fits.
  alignas(16) std::byte padded[kLineHeaderMax + 4 * kLineBytes] = {};
  if (size > sizeof(padded) - kLineBytes) return false;
  std::memcpy(padded, src, size);
  return line_decode(padded, size, sizeof(padded), page) == LineVerdict::kGood;
}
