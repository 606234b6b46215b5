// SPDX-License-Identifier: MIT OR Apache-2.0
// The decompressor of avx512.inl.

// The 8 words that begin n words before the last line, of the last two lines: row n.
alignas(64) inline constexpr auto kLineClose = [] {
  std::array<std::array<std::uint64_t, kLineWords>, kLineWords + 1> rows{};
  for (std::size_t row = 0; row <= kLineWords; ++row) {
    for (std::size_t word = 0; word < kLineWords; ++word) rows[row][word] = kLineWords - row + word;
  }
  return rows;
}();

// Decodes a block of which 64 bytes can be read from everywhere in its header on, own masks among
// it, and `readable` bytes in all.
PLEAT_INLINE bool line_decode(const std::byte* src, std::size_t size, std::size_t readable,
                              std::byte* page) noexcept {
  const std::uint64_t not_zero = load_u64(src);
  const std::uint64_t ninths = load_u64(src + 8);
  const std::uint64_t repeats = load_u64(src + 16);
  if ((repeats & 1) == 0 || (ninths & repeats) != 0) return false;

  // The distances. A line without its own has that of the last line that has one: its number is a
  // running maximum over those.
  const __m512i iota = _mm512_load_si512(kLineNumbers.data());
  __m512i last = _mm512_maskz_mov_epi8(~repeats, iota);
#pragma GCC unroll 6
  for (unsigned step = 1; step < kLines; step *= 2) {
    const __m512i from = _mm512_sub_epi8(iota, _mm512_set1_epi8(static_cast<char>(step)));
    const __mmask64 there = ~std::uint64_t{0} << step;
    last = _mm512_max_epu8(last, _mm512_maskz_permutexvar_epi8(there, from, last));
  }
  const __m512i own_near =
      _mm512_maskz_expand_epi8(~repeats, _mm512_loadu_si512(src + kLineBitmapsBytes));
  const __m512i near_bytes = _mm512_permutexvar_epi8(last, own_near);
  const __mmask64 far =
      _mm512_movepi8_mask(_mm512_permutexvar_epi8(last, _mm512_movm_epi8(ninths)));
  // The reference of a line is close if it lies in the two lines before. Those are still in
  // registers, while loads of what was stored last wait for it. By line: where the reference
  // begins, in bytes from the page's start, or 0 if it is close; and where its row of kLineClose
  // begins.
  alignas(64) std::uint16_t from[kLines];
  alignas(64) std::uint16_t close_row[kLines];
  std::uint64_t close = 0;
  bool in_page = true;
#pragma GCC unroll 2
  for (unsigned half = 0; half < 2; ++half) {
    const __m512i bytes = _mm512_cvtepu8_epi16(
        half == 0 ? _mm512_castsi512_si256(near_bytes) : _mm512_extracti64x4_epi64(near_bytes, 1));
    const __m512i near = _mm512_mask_add_epi16(bytes, static_cast<__mmask32>(far >> 32 * half),
                                               bytes, _mm512_set1_epi16(256));
    const __m512i limit = _mm512_load_si512(kLineNearMax.data() + 32 * half);
    in_page = in_page && _mm512_cmpgt_epu16_mask(near, limit) == 0;
    const __mmask32 is_close = _mm512_cmple_epu16_mask(near, _mm512_set1_epi16(kLineWords));
    close |= std::uint64_t{is_close} << 32 * half;
    _mm512_store_si512(from + 32 * half,
                       _mm512_maskz_slli_epi16(~is_close, _mm512_sub_epi16(limit, near), 3));
    _mm512_store_si512(close_row + 32 * half, _mm512_maskz_slli_epi16(is_close, near, 6));
  }
  if (!in_page) return false;

  // The symbols: for each line which bytes are raw, and which come from a reference in the page or
  // in registers.
  const std::byte* symbols = src + kLineBitmapsBytes + std::popcount(~repeats);
  const std::byte* own = symbols + 4 * std::popcount(not_zero);
  const std::byte* const readable_end = src + readable;
  const __m512i symbol_masks = line_symbol_masks();
  const __m512i low_half = _mm512_set1_epi8(15);
  const __m512i reference_bits = _mm512_broadcast_i32x4(
      _mm_load_si128(reinterpret_cast<const __m128i*>(kLineIsReference.data())));
  alignas(64) std::uint64_t raw[kLines];
  alignas(64) std::uint64_t from_page[kLines];
  alignas(64) std::uint64_t from_close[kLines];
  __m512i raw_counts = _mm512_setzero_si512();
  for (std::size_t group = 0; group < kLines / 8; ++group) {
    // The page is written only after this loop: time to fetch its lines.
    prefetch_second_level(page + kLineBytes * 8 * group, 8 * kLineBytes);
    const auto lines = static_cast<__mmask8>(not_zero >> 8 * group);
    const __m512i packed = _mm512_cvtepu32_epi64(_mm256_maskz_expand_epi32(
        lines, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(symbols))));
    symbols += 4 * std::popcount(lines);
    const __m512i symbol =
        _mm512_and_si512(_mm512_or_si512(packed, _mm512_slli_epi64(packed, 28)), low_half);
    const __mmask64 is_own = _mm512_cmpge_epu8_mask(symbol, _mm512_set1_epi8(kLineOwnZero));
    if (own + 64 > readable_end) return false;
    const __m512i mask = _mm512_mask_expand_epi8(_mm512_shuffle_epi8(symbol_masks, symbol), is_own,
                                                 _mm512_loadu_si512(own));
    own += std::popcount(is_own);
    _mm512_store_si512(&raw[8 * group], mask);
    raw_counts = _mm512_add_epi64(raw_counts, _mm512_popcnt_epi64(mask));
    const __mmask64 words = _mm512_movepi8_mask(_mm512_shuffle_epi8(reference_bits, symbol));
    const __m512i referred = _mm512_andnot_si512(mask, _mm512_movm_epi8(words));
    // Line 0 has no reference.
    const auto is_close = static_cast<__mmask8>(close >> 8 * group);
    const auto in_memory = static_cast<__mmask8>(~is_close);
    const auto in_registers = static_cast<__mmask8>(group == 0 ? is_close & ~1 : is_close);
    _mm512_store_si512(&from_page[8 * group], _mm512_maskz_mov_epi64(in_memory, referred));
    _mm512_store_si512(&from_close[8 * group], _mm512_maskz_mov_epi64(in_registers, referred));
  }
  const auto header = static_cast<std::size_t>(own - src);
  const auto raw_bytes = static_cast<std::size_t>(_mm512_reduce_add_epi64(raw_counts));
  if (header + raw_bytes != size) return false;

  const std::byte* data = own;
  const auto* const close_rows = reinterpret_cast<const std::byte*>(kLineClose.data());
  __m512i first = _mm512_setzero_si512();
  __m512i second = _mm512_setzero_si512();
  const auto copy = [&](std::size_t line) {
    const __m512i words = _mm512_load_si512(close_rows + close_row[line]);
    const __m512i reference = _mm512_permutex2var_epi64(second, words, first);
    __m512i value = _mm512_maskz_expand_epi8(raw[line], _mm512_loadu_si512(data));
    value = _mm512_mask_mov_epi8(value, from_page[line], _mm512_loadu_si512(page + from[line]));
    value = _mm512_mask_mov_epi8(value, from_close[line], reference);
    _mm512_storeu_si512(page + kLineBytes * line, value);
    second = first;
    first = value;
    data += std::popcount(raw[line]);
  };
  std::size_t line = 0;
  const std::byte* const last_load = readable_end - 64;
  for (; line < kLines && data <= last_load; ++line) copy(line);
  if (line < kLines) {
    // The rest of the block, with room behind it.
    alignas(64) std::byte tail[128];
    _mm512_store_si512(tail, _mm512_loadu_si512(last_load));
    _mm512_store_si512(tail + 64, _mm512_setzero_si512());
    data = tail + (data - last_load);
    for (; line < kLines; ++line) copy(line);
  }
  return true;
}

PLEAT_INLINE bool line_decompress(const std::byte* src, std::size_t size,
                                  std::byte* page) noexcept {
  if (size < kLineBitmapsBytes) return false;
  const std::size_t symbols_end = kLineBitmapsBytes +
                                  static_cast<std::size_t>(std::popcount(~load_u64(src + 16))) +
                                  4 * static_cast<std::size_t>(std::popcount(load_u64(src)));
  if (symbols_end > size) return false;
  // With 64 bytes behind the symbols, own masks are read only while 64 bytes are left.
  constexpr std::size_t kRoom = 16 * 64;
  // The raw bytes are read only after the header is decoded: time enough to fetch all their lines.
  prefetch_second_level(src, size);
  if (size >= symbols_end + 576 || size > kRoom - 64) return line_decode(src, size, size, page);
  alignas(64) std::byte padded[kRoom];
  for (std::size_t i = 0; i < kRoom; i += 64) {
    _mm512_store_si512(padded + i, _mm512_setzero_si512());
  }
  std::memcpy(padded, src, size);
  return line_decode(padded, size, kRoom, page);
}
