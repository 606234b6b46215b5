// SPDX-License-Identifier: MIT OR Apache-2.0
// The compressor of avx2.inl.

// The order in which a line's hashes stand, from the shuffles of two registers that sum them.
inline constexpr std::array<std::uint8_t, kLineWords> kLineHashPlace = {0, 1, 4, 5, 2, 3, 6, 7};

// What the steps hand on. Bits of `zero` and `same`: a byte of the line is zero, and is that of its
// reference.
struct LineSteps {
  alignas(64) std::uint32_t hashes[kLines][kLineWords];
  alignas(64) std::uint32_t zero[kLines][2];
  alignas(64) std::uint32_t same[kLines][2];
  // By line and probe: where in the page, in words, the word was found.
  alignas(64) std::uint16_t found[kLines][kLineWords];
  alignas(64) std::uint16_t chosen[kLines + 16];  // `near` of the reference
  // For each two words: places of their masks in the tables, and the raw bytes of the line up to
  // the end of both.
  alignas(64) std::uint16_t lower[kLines][4];
  alignas(64) std::uint16_t upper[kLines][4];
  alignas(64) std::uint16_t ends[kLines][4];
};

PLEAT_INLINE void line_forget(LineWorkspace& work) noexcept {
  const __m256i empty = _mm256_set1_epi16(static_cast<short>(kLineHashEmpty));
  for (std::size_t i = 0; i < std::size(work.positions); i += 16) {
    line_store(work.positions + i, empty);
  }
}

PLEAT_INLINE void line_hash(const std::byte* page, std::size_t begin, LineSteps& steps) noexcept {
  const __m256i factors = _mm256_set1_epi64x(load<long long>(kLineHashFactors.data()));
  const __m256i bits = _mm256_set1_epi32((1 << kLineHashBits) - 1);
  const bool is_last = begin + kLineChunk == kLines;
  for (std::size_t line = begin; line < begin + kLineChunk; ++line) {
    if (!is_last) __builtin_prefetch(page + kLineBytes * (line + kLineChunk));
    const __m256i low = line_load(page + kLineBytes * line);
    const __m256i high = line_load(page + kLineBytes * line + 32);
    const __m256i zero = _mm256_setzero_si256();
    steps.zero[line][0] =
        static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, zero)));
    steps.zero[line][1] =
        static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, zero)));
    const __m256 low_sums = _mm256_castsi256_ps(_mm256_madd_epi16(low, factors));
    const __m256 high_sums = _mm256_castsi256_ps(_mm256_madd_epi16(high, factors));
    const __m256i sums =
        _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(low_sums, high_sums, 0x88)),
                         _mm256_castps_si256(_mm256_shuffle_ps(low_sums, high_sums, 0xDD)));
    line_store(steps.hashes[line], _mm256_and_si256(_mm256_srli_epi32(sums, kLineHashShift), bits));
  }
}

#include "codec/line/avx2_choose.inl"

// A bit a line, for 64 words that are all ones or zeros.
template <typename Words>
PLEAT_INLINE std::uint64_t line_bitmap(const Words& words) noexcept {
  std::uint64_t bits = 0;
  for (std::size_t half = 0; half < 2; ++half) {
    const __m256i packed =
        _mm256_permute4x64_epi64(_mm256_packs_epi16(words(32 * half), words(32 * half + 16)), 0xD8);
    bits |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(packed))} << 32 * half;
  }
  return bits;
}

// Cost << 4 | symbol of the cheapest symbol of each word.
PLEAT_INLINE __m256i line_symbol_keys(__m256i zero, __m256i differs) noexcept {
  const __m256i counts = _mm256_setr_epi8(
      0, 0x10, 0x10, 0x20, 0x10, 0x20, 0x20, 0x30, 0x10, 0x20, 0x20, 0x30, 0x20, 0x30, 0x30, 0x40,
      0, 0x10, 0x10, 0x20, 0x10, 0x20, 0x20, 0x30, 0x10, 0x20, 0x20, 0x30, 0x20, 0x30, 0x30, 0x40);
  const auto own_cost = [&](__m256i low, __m256i high, unsigned symbol) {
    return _mm256_add_epi8(
        _mm256_add_epi8(_mm256_shuffle_epi8(counts, low), _mm256_shuffle_epi8(counts, high)),
        _mm256_set1_epi8(static_cast<char>(0x10 | symbol)));
  };
  const __m256i low = line_low_nibbles(differs);
  const __m256i high = line_high_nibbles(differs);
  const auto fits = [&](std::size_t set) {
    return _mm256_and_si256(_mm256_shuffle_epi8(line_table(kLineFit.fits[set][0]), low),
                            _mm256_shuffle_epi8(line_table(kLineFit.fits[set][1]), high));
  };
  const __m256i cheap = fits(0);
  const __m256i masks = _mm256_min_epu8(
      _mm256_min_epu8(
          _mm256_shuffle_epi8(line_table(kLineFit.cheapest[0]), line_low_nibbles(cheap)),
          _mm256_shuffle_epi8(line_table(kLineFit.cheapest[1]), line_high_nibbles(cheap))),
      _mm256_shuffle_epi8(line_table(kLineFit.cheapest[2]), fits(1)));
  const __m256i reference = _mm256_min_epu8(masks, own_cost(low, high, kLineOwnReference));

  // Symbols without the reference line: 0 and 12 for the masks 0 and 2, own masks, and the whole
  // word.
  const __m256i none = _mm256_cmpeq_epi8(zero, _mm256_setzero_si256());
  const __m256i second_byte = _mm256_cmpeq_epi8(zero, _mm256_set1_epi8(2));
  const __m256i own = own_cost(line_low_nibbles(zero), line_high_nibbles(zero), kLineOwnZero);
  const __m256i others =
      _mm256_min_epu8(_mm256_blendv_epi8(own, _mm256_set1_epi8(0x1C), second_byte),
                      _mm256_set1_epi8(static_cast<char>(0x81)));
  return _mm256_min_epu8(_mm256_andnot_si256(none, others), reference);
}
static_assert(kLineSymbolMask[0] == 0 && kLineSymbolMask[1] == 0xFF && kLineSymbolMask[12] == 2);

template <unsigned kProbes>
PLEAT_INLINE std::size_t line_compress_level(const std::byte* page, std::byte* dst,
                                             std::size_t capacity, LineWorkspace& work) noexcept {
  LineSteps steps;
  prefetch_page(page);
  line_forget(work);
  for (std::size_t begin = 0; begin < kLines; begin += kLineChunk) {
    prefetch_destination_part(dst, capacity, begin / kLineChunk, kLines / kLineChunk);
    line_hash(page, begin, steps);
    if (begin == 0) line_first_lines(page, steps);
    const std::size_t choice = std::max<std::size_t>(begin, 2);
    line_walk<kProbes>(choice, begin + kLineChunk, work, steps);
    line_choose<kProbes>(page, choice, begin + kLineChunk, steps);
  }

  // The bitmaps.
  const __m256i all = _mm256_set1_epi8(-1);
  std::uint64_t not_zero = 0;
  for (std::size_t line = 0; line < kLines; line += 4) {
    const auto empty = static_cast<unsigned>(_mm256_movemask_pd(
        _mm256_castsi256_pd(_mm256_cmpeq_epi64(line_load(steps.zero[line]), all))));
    not_zero |= std::uint64_t{empty ^ 15} << line;
  }
  const std::uint64_t ninths = line_bitmap([&](std::size_t line) {
    return _mm256_cmpgt_epi16(line_load(steps.chosen + line), _mm256_set1_epi16(255));
  });
  line_store_half(steps.chosen + kLines, _mm_setzero_si128());
  const std::uint64_t same = line_bitmap([&](std::size_t line) {
                               return _mm256_cmpeq_epi16(line_load(steps.chosen + line),
                                                         line_load(steps.chosen + line + 1));
                             })
                             << 1;
  const std::uint64_t repeats = ~not_zero | (same & not_zero << 1) | 3;
  const auto symbol_bytes = 4 * static_cast<std::size_t>(std::popcount(not_zero));

  // The header goes to the destination if that has room for any; whole vectors are stored, up to 64
  // bytes behind what they hold, and what stands behind each part is written over by the next.
  std::byte* block = capacity >= kLineHeaderMax + kLineBytes ? dst : work.block;
  put(block, not_zero);
  put(block + 8, ninths & ~repeats);
  put(block + 16, repeats);
  std::byte* to = block + kLineBitmapsBytes;
  for (std::size_t line = 0; line < kLines; line += 8) {
    const auto lines = static_cast<std::uint8_t>(~repeats >> line);
    // The low bytes of 8 words.
    const __m128i near = _mm_and_si128(line_load_half(steps.chosen + line), _mm_set1_epi16(255));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to),
                     _mm_shuffle_epi8(_mm_packus_epi16(near, near),
                                      line_load_word(kLineCompress[lines].data())));
    to += std::popcount(lines);
  }

  std::byte* symbols = to;
  std::byte* const own_begin = symbols + symbol_bytes;
  std::byte* own = work.own;
  const __m256i symbol_masks = line_table(kLineSymbolMask);
  __m256i raw_counts = _mm256_setzero_si256();
  for (std::size_t line = 0; line < kLines; line += 4) {
    const __m256i zero = _mm256_xor_si256(line_load(steps.zero[line]), all);
    const __m256i differs = _mm256_xor_si256(line_load(steps.same[line]), all);
    const __m256i keys = line_symbol_keys(zero, differs);
    const __m256i symbol = line_low_nibbles(keys);
    const __m256i is_own = _mm256_cmpgt_epi8(symbol, _mm256_set1_epi8(kLineOwnZero - 1));
    const __m256i of_line = _mm256_cmpeq_epi8(symbol, _mm256_set1_epi8(kLineOwnReference));
    const __m256i own_masks = _mm256_blendv_epi8(zero, differs, of_line);
    const __m256i raw =
        _mm256_blendv_epi8(_mm256_shuffle_epi8(symbol_masks, symbol), own_masks, is_own);
    // An own mask costs a byte besides its raw ones.
    const __m256i counts = _mm256_add_epi8(line_high_nibbles(keys), is_own);
    raw_counts = _mm256_add_epi64(raw_counts, _mm256_sad_epu8(counts, _mm256_setzero_si256()));
    const __m256i lower_counts = _mm256_and_si256(counts, _mm256_set1_epi16(255));
    line_store(steps.ends[line],
               line_running_sums(_mm256_maddubs_epi16(counts, _mm256_set1_epi8(1))));
    line_store(steps.lower[line],
               _mm256_slli_epi16(_mm256_and_si256(raw, _mm256_set1_epi16(255)), 3));
    line_store(steps.upper[line],
               _mm256_sub_epi16(_mm256_add_epi16(_mm256_slli_epi16(_mm256_srli_epi16(raw, 8), 5),
                                                 _mm256_set1_epi16(8)),
                                lower_counts));

    const __m256i packed = _mm256_or_si256(symbol, _mm256_srli_epi64(symbol, 28));
    const __m128i dwords = _mm_castps_si128(
        _mm_shuffle_ps(_mm_castsi128_ps(_mm256_castsi256_si128(packed)),
                       _mm_castsi128_ps(_mm256_extracti128_si256(packed, 1)), 0x88));
    const auto lines = static_cast<unsigned>(not_zero >> line & 15);
    line_store_half(symbols,
                    _mm_shuffle_epi8(dwords, line_load_half(kLineDwords.compress[lines].data())));
    symbols += 4 * std::popcount(lines);

    const auto own_bits = static_cast<std::uint32_t>(_mm256_movemask_epi8(is_own));
    const __m128i own_halves[2] = {_mm256_castsi256_si128(own_masks),
                                   _mm256_extracti128_si256(own_masks, 1)};
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned bits = own_bits >> 8 * i & 255;
      const __m128i masks = i % 2 == 0 ? own_halves[i / 2] : _mm_srli_si128(own_halves[i / 2], 8);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(own),
                       _mm_shuffle_epi8(masks, line_load_word(kLineCompress[bits].data())));
      own += std::popcount(bits);
    }
  }
  const auto own_bytes = static_cast<std::size_t>(own - work.own);
  const __m128i halves =
      _mm_add_epi64(_mm256_castsi256_si128(raw_counts), _mm256_extracti128_si256(raw_counts, 1));
  const auto raw_bytes =
      static_cast<std::size_t>(_mm_cvtsi128_si64(halves) + _mm_extract_epi64(halves, 1));
  const auto header = static_cast<std::size_t>(own_begin - block) + own_bytes;
  const std::size_t total = header + raw_bytes;
  if (total > capacity) return 0;
  for (std::size_t i = 0; i < own_bytes; i += 32)
    line_store(own_begin + i, line_load(work.own + i));
  const bool direct = total + kLineBytes <= capacity;
  if (!direct && block == dst) {
    std::memcpy(work.block, dst, header);
    block = work.block;
  }

  // The raw bytes, 16 of the page at a time.
  to = block + header;
  const auto* const lower_table = reinterpret_cast<const std::byte*>(kLineCompress.data());
  const auto* const upper_table = reinterpret_cast<const std::byte*>(kLineCompressUpper.data());
  for (std::size_t line = 0; line < kLines; ++line) {
    const std::uint64_t lower = load_u64(steps.lower[line]);
    const std::uint64_t upper = load_u64(steps.upper[line]);
    const std::uint64_t ends = load_u64(steps.ends[line]);
    const std::uint64_t begins = ends << 16;
#pragma GCC unroll 4
    for (std::size_t pair = 0; pair < 4; ++pair) {
      const __m128i index =
          _mm_or_si128(line_load_word(lower_table + (lower >> 16 * pair & 0xFFFF)),
                       line_load_half(upper_table + (upper >> 16 * pair & 0xFFFF)));
      line_store_half(
          to + (begins >> 16 * pair & 0xFFFF),
          _mm_shuffle_epi8(line_load_half(page + kLineBytes * line + 16 * pair), index));
    }
    to += ends >> 48;
  }
  if (block != dst) std::memcpy(dst, block, total);
  return total;
}
