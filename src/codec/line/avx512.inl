// SPDX-License-Identifier: MIT OR Apache-2.0
// The line format with one register a line: AVX-512 F, BW, VL, VBMI, VBMI2 and VPOPCNTDQ. No branch
// depends on the data but those that end a block.
#include "codec/line/walk.inl"

// Bytes of a 256-entry table, 64 at a time.
struct LineTable {
  __m512i quarter[4];
};
PLEAT_INLINE LineTable line_table(const std::array<std::uint8_t, 256>& bytes) noexcept {
  LineTable table;
  for (unsigned i = 0; i < 4; ++i) table.quarter[i] = _mm512_load_si512(bytes.data() + 64 * i);
  return table;
}
PLEAT_INLINE __m512i line_look_up(const LineTable& table, __m512i index) noexcept {
  const __m512i low = _mm512_permutex2var_epi8(table.quarter[0], index, table.quarter[1]);
  const __m512i high = _mm512_permutex2var_epi8(table.quarter[2], index, table.quarter[3]);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
}
PLEAT_INLINE __m512i line_symbol_masks() noexcept {
  return _mm512_broadcast_i32x4(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(kLineSymbolMask.data())));
}

PLEAT_INLINE void line_forget(LineWorkspace& work) noexcept {
  const __m512i empty = _mm512_set1_epi16(static_cast<short>(kLineHashEmpty));
  for (std::size_t i = 0; i < std::size(work.positions); i += 32) {
    _mm512_store_si512(work.positions + i, empty);
  }
}

PLEAT_INLINE void line_hash(const std::byte* page, std::size_t begin,
                            LineWorkspace& work) noexcept {
  const __m512i factors = _mm512_set1_epi64(load<long long>(kLineHashFactors.data()));
  const __m512i bits = _mm512_set1_epi64((1 << kLineHashBits) - 1);
  const bool is_last = begin + kLineChunk == kLines;
  for (std::size_t line = begin; line < begin + kLineChunk; ++line) {
    if (!is_last) __builtin_prefetch(page + kLineBytes * (line + kLineChunk));
    const __m512i value = _mm512_loadu_si512(page + kLineBytes * line);
    work.not_zero[line] = _mm512_test_epi8_mask(value, value);
    const __m512i halves = _mm512_madd_epi16(value, factors);
    const __m512i sum = _mm512_add_epi32(halves, _mm512_srli_epi64(halves, 32));
    const __m512i hash = _mm512_and_si512(_mm512_srli_epi32(sum, kLineHashShift), bits);
    _mm_store_si128(reinterpret_cast<__m128i*>(work.hashes[line]), _mm512_cvtepi64_epi16(hash));
  }
}

// Which bytes of each line each candidate lacks.
template <unsigned kCandidates>
PLEAT_INLINE void line_probe(const std::byte* page, std::size_t begin, std::size_t end,
                             LineWorkspace& work) noexcept {
  const __m512i stand_in = _mm512_set1_epi8(static_cast<char>(kLineScoreZero));
  __m512i second = _mm512_loadu_si512(page + kLineBytes * (begin - 2));
  __m512i first = _mm512_loadu_si512(page + kLineBytes * (begin - 1));
  for (std::size_t line = begin; line < end; ++line) {
    const std::byte* const before = page + kLineBytes * (line - 1);
    const __m512i value = _mm512_loadu_si512(before + kLineBytes);
    const __m512i scored = _mm512_mask_blend_epi8(work.not_zero[line], stand_in, value);
    work.differs[0][line] = _mm512_cmpneq_epi8_mask(scored, first);
    work.differs[1][line] = _mm512_cmpneq_epi8_mask(scored, second);
#pragma GCC unroll 8
    for (unsigned candidate = 2; candidate < kCandidates; ++candidate) {
      const std::size_t back = std::size_t{8} * work.near[candidate][line];
      work.differs[candidate][line] =
          _mm512_cmpneq_epi8_mask(scored, _mm512_loadu_si512(before - back));
    }
    second = first;
    first = value;
  }
}

template <unsigned kCandidates>
PLEAT_INLINE void line_choose(std::size_t begin, LineWorkspace& work) noexcept {
  const __m512i near_bits = _mm512_set1_epi64((1 << kLineDistanceBits) - 1);
  for (std::size_t line = begin; line < begin + kLineChunk; line += 8) {
    const auto key = [&](unsigned candidate, __m512i near) {
      const __m512i differs = _mm512_load_si512(&work.differs[candidate][line]);
      return _mm512_or_si512(_mm512_slli_epi64(_mm512_popcnt_epi64(differs), kLineDistanceBits),
                             near);
    };
    __m512i best =
        _mm512_min_epu64(key(0, _mm512_setzero_si512()), key(1, _mm512_set1_epi64(kLineWords)));
#pragma GCC unroll 8
    for (unsigned candidate = 2; candidate < kCandidates; ++candidate) {
      const __m512i near = _mm512_cvtepu16_epi64(
          _mm_load_si128(reinterpret_cast<const __m128i*>(&work.near[candidate][line])));
      best = _mm512_min_epu64(best, key(candidate, near));
    }
    _mm_store_si128(reinterpret_cast<__m128i*>(&work.chosen[line]),
                    _mm512_cvtepi64_epi16(_mm512_and_si512(best, near_bits)));
  }
  // Lines 0 and 1 have one candidate: key(1) is never the least of equal scores.
}

template <unsigned kProbes>
PLEAT_INLINE std::size_t line_compress_level(const std::byte* page, std::byte* dst,
                                             std::size_t capacity, LineWorkspace& work) noexcept {
  constexpr unsigned kCandidates = 2 + std::popcount(kProbes);
  prefetch_page(page);
  line_forget(work);
  for (unsigned candidate = 0; candidate < kCandidates; ++candidate) {
    work.near[candidate][0] = work.near[candidate][1] = 0;
    work.differs[candidate][0] = work.differs[candidate][1] = ~std::uint64_t{0};
  }
  for (std::size_t begin = 0; begin < kLines; begin += kLineChunk) {
    const std::size_t end = begin + kLineChunk;
    const std::size_t choice = std::max<std::size_t>(begin, 2);
    prefetch_destination_part(dst, capacity, begin / kLineChunk, kLines / kLineChunk);
    line_hash(page, begin, work);
    line_walk<kProbes>(choice, end, work);
    line_probe<kCandidates>(page, choice, end, work);
    line_choose<kCandidates>(begin, work);
  }

  work.not_reference[0] = work.not_zero[0];
  for (std::size_t line = 1; line < kLines; ++line) {
    const std::byte* const at = page + kLineBytes * line;
    const std::byte* const reference = at - kLineBytes - std::size_t{8} * work.chosen[line];
    work.not_reference[line] =
        _mm512_cmpneq_epi8_mask(_mm512_loadu_si512(at), _mm512_loadu_si512(reference));
  }

  const LineTable zero_table = line_table(kLineSymbolOf.zero);
  const LineTable reference_table = line_table(kLineSymbolOf.reference);
  const __m512i symbol_masks = line_symbol_masks();
  const __m512i low_half = _mm512_set1_epi8(15);
  std::uint64_t not_zero = 0;
  std::byte* symbols = work.symbols;
  std::byte* own = work.own;
  __m512i raw_counts = _mm512_setzero_si512();
  for (std::size_t line = 0; line < kLines; line += 8) {
    const __m512i zero = _mm512_load_si512(&work.not_zero[line]);
    const __m512i differs = _mm512_load_si512(&work.not_reference[line]);
    const __m512i symbol = _mm512_and_si512(
        _mm512_min_epu8(line_look_up(zero_table, zero), line_look_up(reference_table, differs)),
        low_half);
    const __mmask64 is_own = _mm512_cmpge_epu8_mask(symbol, _mm512_set1_epi8(kLineOwnZero));
    const __mmask64 of_line = _mm512_cmpeq_epi8_mask(symbol, low_half);
    const __m512i own_masks = _mm512_mask_blend_epi8(of_line, zero, differs);
    const __m512i raw =
        _mm512_mask_mov_epi8(_mm512_shuffle_epi8(symbol_masks, symbol), is_own, own_masks);
    _mm512_store_si512(&work.raw[line], raw);
    raw_counts = _mm512_add_epi64(raw_counts, _mm512_popcnt_epi64(raw));
    _mm512_storeu_si512(own, _mm512_maskz_compress_epi8(is_own, own_masks));
    own += std::popcount(is_own);
    const __mmask8 lines = _mm512_test_epi64_mask(zero, zero);
    not_zero |= std::uint64_t{lines} << line;
    const __m256i packed =
        _mm512_cvtepi64_epi32(_mm512_or_si512(symbol, _mm512_srli_epi64(symbol, 28)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(symbols),
                        _mm256_maskz_compress_epi32(lines, packed));
    symbols += 4 * std::popcount(lines);
  }

  const __m512i near_low = _mm512_load_si512(work.chosen);
  const __m512i near_high = _mm512_load_si512(work.chosen + 32);
  const __m512i ninth = _mm512_set1_epi16(256);
  const std::uint64_t ninths = _mm512_test_epi16_mask(near_low, ninth) |
                               std::uint64_t{_mm512_test_epi16_mask(near_high, ninth)} << 32;
  const std::uint64_t same_low =
      _mm512_cmpeq_epi16_mask(_mm512_loadu_si512(work.chosen + 1), near_low);
  const std::uint64_t same_high = _mm512_mask_cmpeq_epi16_mask(
      0x7FFF'FFFF, near_high, _mm512_maskz_loadu_epi16(0x7FFF'FFFF, work.chosen + 33));
  const std::uint64_t same = (same_low | same_high << 32) << 1;
  const std::uint64_t repeats = ~not_zero | (same & not_zero << 1) | 3;
  const __m512i near_bytes = _mm512_inserti64x4(
      _mm512_castsi256_si512(_mm512_cvtepi16_epi8(near_low)), _mm512_cvtepi16_epi8(near_high), 1);

  const auto symbol_bytes = static_cast<std::size_t>(symbols - work.symbols);
  const auto own_bytes = static_cast<std::size_t>(own - work.own);
  const auto distances = static_cast<std::size_t>(std::popcount(~repeats));
  const auto raw_bytes = static_cast<std::size_t>(_mm512_reduce_add_epi64(raw_counts));
  const std::size_t total = kLineBitmapsBytes + distances + symbol_bytes + own_bytes + raw_bytes;
  if (total > capacity) return 0;
  // Whole vectors are stored, up to 64 bytes behind what they hold.
  const bool direct = total + kLineBytes <= capacity;
  std::byte* const block = direct ? dst : work.block;
  put(block, not_zero);
  put(block + 8, ninths & ~repeats);
  put(block + 16, repeats);
  std::byte* to = block + kLineBitmapsBytes;
  const auto store = [&to](__m512i bytes, std::size_t count) {
    _mm512_storeu_si512(to, bytes);
    to += count;
  };
  store(_mm512_maskz_compress_epi8(~repeats, near_bytes), distances);
  // What stands behind each part is written over by the next.
  for (std::size_t i = 0; i < symbol_bytes; i += 64) {
    store(_mm512_load_si512(work.symbols + i), std::min<std::size_t>(64, symbol_bytes - i));
  }
  for (std::size_t i = 0; i < own_bytes; i += 64) {
    store(_mm512_load_si512(work.own + i), std::min<std::size_t>(64, own_bytes - i));
  }
#pragma GCC unroll 4
  for (std::size_t line = 0; line < kLines; ++line) {
    const std::uint64_t raw = work.raw[line];
    store(_mm512_maskz_compress_epi8(raw, _mm512_loadu_si512(page + kLineBytes * line)),
          static_cast<std::size_t>(std::popcount(raw)));
  }
  if (!direct) std::memcpy(dst, block, total);
  return total;
}

#include "codec/line/avx512_decompress.inl"
#include "codec/line/levels.inl"
