// SPDX-License-Identifier: MIT OR Apache-2.0
// The decompressor of avx2.inl.

enum class LineVerdict { kGood, kBad, kCutOff };

// What the header says of each line.
struct LineHeader {
  // Of the reference, in bytes from the page's start.
  alignas(64) std::uint16_t from[kLines];
  // By word: where its row of kLineExpand begins, in bytes.
  alignas(64) std::uint16_t rows[kLines][kLineWords];
  // For each two words: the raw bytes of the line up to the end of both.
  alignas(64) std::uint16_t ends[kLines][4];
};

// The distances; false if one reaches before the page. 64 bytes can be read behind the bitmaps.
PLEAT_INLINE bool line_distances(const std::byte* src, std::uint64_t ninths, std::uint64_t repeats,
                                 LineHeader& header) noexcept {
  // A ninth bit holds for the lines that inherit it: added to the run of those, it carries through
  // all of the run.
  const std::uint64_t far = ninths | (repeats & ~(repeats + ((ninths << 1) & repeats)));
  // Lines before the first distance have what stands before the list.
  alignas(32) std::byte list[128];
  list[31] = std::byte{0};
  line_store(list + 32, line_load(src + kLineBitmapsBytes));
  line_store(list + 64, line_load(src + kLineBitmapsBytes + 32));
  line_store(list + 96, _mm256_setzero_si256());
  const std::byte* before = list + 31;
  const std::uint64_t own = ~repeats;
  const __m128i bits = _mm_set1_epi64x(static_cast<long long>(0x8040201008040201));
  const __m128i spread = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  __m128i beyond = _mm_setzero_si128();
#pragma GCC unroll 4
  for (std::size_t line = 0; line < kLines; line += 16) {
    const auto bitmap_bytes = [&](std::uint64_t bitmap) {
      const __m128i part = _mm_cvtsi32_si128(static_cast<int>(bitmap >> line & 0xFFFF));
      return _mm_cmpeq_epi8(_mm_and_si128(_mm_shuffle_epi8(part, spread), bits), bits);
    };
    // Minus the distances up to each line.
    __m128i count = bitmap_bytes(own);
    count = _mm_add_epi8(count, _mm_slli_si128(count, 1));
    count = _mm_add_epi8(count, _mm_slli_si128(count, 2));
    count = _mm_add_epi8(count, _mm_slli_si128(count, 4));
    count = _mm_add_epi8(count, _mm_slli_si128(count, 8));
    // From 0 to 15: if the first line has a distance, the one before is not needed.
    const auto skip = static_cast<std::size_t>(own >> line & 1);
    const __m128i index =
        _mm_sub_epi8(_mm_set1_epi8(static_cast<char>(-static_cast<int>(skip))), count);
    const __m128i low = _mm_shuffle_epi8(line_load_half(before + skip), index);
    before += std::popcount(own >> line & 0xFFFF);
    const __m128i high = _mm_sub_epi8(_mm_setzero_si128(), bitmap_bytes(far));
    const auto put_from = [&](__m128i near, std::size_t at) {
      const __m128i limit = line_load_half(kLineNearMax.data() + at);
      const __m128i from = _mm_sub_epi16(limit, near);
      beyond = _mm_or_si128(beyond, from);
      line_store_half(header.from + at, _mm_slli_epi16(from, 3));
    };
    put_from(_mm_unpacklo_epi8(low, high), line);
    put_from(_mm_unpackhi_epi8(low, high), line + 8);
  }
  return (_mm_movemask_epi8(beyond) & 0xAAAA) == 0;
}

// Decodes a block of which `readable` bytes can be read, at least kLineBitmapsBytes + 64. Cut off:
// the header is too near to the end of those.
PLEAT_INLINE LineVerdict line_decode(const std::byte* src, std::size_t size, std::size_t readable,
                                     std::byte* page) noexcept {
  const std::uint64_t not_zero = load_u64(src);
  const std::uint64_t ninths = load_u64(src + 8);
  const std::uint64_t repeats = load_u64(src + 16);
  if ((repeats & 1) == 0 || (ninths & repeats) != 0) return LineVerdict::kBad;
  LineHeader header;
  if (!line_distances(src, ninths, repeats, header)) return LineVerdict::kBad;

  // The symbols: for each line which bytes are raw, and which words come from the reference.
  const std::byte* symbols = src + kLineBitmapsBytes + std::popcount(~repeats);
  const std::byte* own = symbols + 4 * std::popcount(not_zero);
  const std::byte* const readable_end = src + readable;
  const __m256i symbol_masks = line_table(kLineSymbolMask);
  const __m256i is_reference = line_table(kLineIsReference);
  const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                          2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  __m256i raw_counts = _mm256_setzero_si256();
  for (std::size_t line = 0; line < kLines; line += 4) {
    // The page is written only after this loop: time to fetch its lines. Asking for all at once,
    // before the block is here, was slower (docs/performance.md).
    prefetch_second_level(page + kLineBytes * line, 4 * kLineBytes);
    // 32 bytes are read from the own masks, which follow on the symbols.
    if (readable_end - own < 32) return LineVerdict::kCutOff;
    const auto lines = static_cast<unsigned>(not_zero >> line & 15);
    const __m256i packed = _mm256_cvtepu32_epi64(_mm_shuffle_epi8(
        line_load_half(symbols), line_load_half(kLineDwords.expand[lines].data())));
    symbols += 4 * std::popcount(lines);
    const __m256i symbol = line_low_nibbles(_mm256_or_si256(packed, _mm256_slli_epi64(packed, 28)));

    // Own masks: in each half of the register the next ones, by how many there are up to each word.
    const __m256i is_own = _mm256_cmpgt_epi8(symbol, _mm256_set1_epi8(kLineOwnZero - 1));
    const auto own_bits = static_cast<std::uint32_t>(_mm256_movemask_epi8(is_own));
    __m256i before = is_own;
    before = _mm256_add_epi8(before, _mm256_slli_si256(before, 1));
    before = _mm256_add_epi8(before, _mm256_slli_si256(before, 2));
    before = _mm256_add_epi8(before, _mm256_slli_si256(before, 4));
    before = _mm256_add_epi8(before, _mm256_slli_si256(before, 8));
    const __m256i index = _mm256_sub_epi8(_mm256_set1_epi8(-1), before);
    const __m256i own_bytes =
        _mm256_inserti128_si256(_mm256_castsi128_si256(line_load_half(own)),
                                line_load_half(own + std::popcount(own_bits & 0xFFFF)), 1);
    own += std::popcount(own_bits);
    const __m256i mask = _mm256_blendv_epi8(_mm256_shuffle_epi8(symbol_masks, symbol),
                                            _mm256_shuffle_epi8(own_bytes, index), is_own);

    const __m256i raw = _mm256_add_epi8(_mm256_shuffle_epi8(counts, line_low_nibbles(mask)),
                                        _mm256_shuffle_epi8(counts, line_high_nibbles(mask)));
    raw_counts = _mm256_add_epi64(raw_counts, _mm256_sad_epu8(raw, _mm256_setzero_si256()));
    line_store(header.ends[line],
               line_running_sums(_mm256_maddubs_epi16(raw, _mm256_set1_epi8(1))));
    const __m256i reference = _mm256_srli_epi16(_mm256_shuffle_epi8(is_reference, symbol), 7);
    const auto rows = [&](__m256i words) {
      return _mm256_slli_epi16(words, std::countr_zero(kLineExpandRow));
    };
    const __m256i first = rows(_mm256_unpacklo_epi8(mask, reference));
    const __m256i second = rows(_mm256_unpackhi_epi8(mask, reference));
    line_store(header.rows[line], _mm256_permute2x128_si256(first, second, 0x20));
    line_store(header.rows[line + 2], _mm256_permute2x128_si256(first, second, 0x31));
  }
  const __m128i halves =
      _mm_add_epi64(_mm256_castsi256_si128(raw_counts), _mm256_extracti128_si256(raw_counts, 1));
  const auto raw_bytes =
      static_cast<std::size_t>(_mm_cvtsi128_si64(halves) + _mm_extract_epi64(halves, 1));
  if (static_cast<std::size_t>(own - src) + raw_bytes != size) return LineVerdict::kBad;

  // Line 0 has no reference.
  line_store_half(header.rows[0], _mm_and_si128(line_load_half(header.rows[0]),
                                                _mm_set1_epi16(256 * kLineExpandRow - 1)));
  const auto* const table = reinterpret_cast<const std::byte*>(kLineExpand.data());
  const std::byte* data = own;
  const auto copy = [&](std::size_t line) {
    const std::byte* const from = page + header.from[line];
    const std::uint16_t* const ends = header.ends[line];
#pragma GCC unroll 2
    for (std::size_t half = 0; half < 2; ++half) {
      // One load for four rows: the loop is bound by its loads.
      const std::uint64_t rows = load_u64(header.rows[line] + 4 * half);
      const auto row = [&](std::size_t word) { return table + (rows >> 16 * word & 0xFFFF); };
      const auto places_of = [&](std::size_t word) {
        return _mm_add_epi8(line_load_half(row(word) + 8), line_load_half(row(word + 1)));
      };
      const __m256i places =
          _mm256_inserti128_si256(_mm256_castsi128_si256(places_of(0)), places_of(2), 1);
      const std::byte* const lower = half == 0 ? data : data + ends[1];
      const std::byte* const upper = data + ends[2 * half];
      const __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(line_load_half(lower)),
                                                    line_load_half(upper), 1);
      line_store(page + kLineBytes * line + 32 * half,
                 _mm256_blendv_epi8(_mm256_shuffle_epi8(bytes, places), line_load(from + 32 * half),
                                    _mm256_add_epi8(places, places)));
    }
    data += ends[3];
  };
  std::size_t line = 0;
  const std::byte* const last_load = readable_end - 64;
  for (; line < kLines && data <= last_load; ++line) copy(line);
  if (line < kLines) {
    // The rest of the block, with room behind it.
    alignas(32) std::byte tail[128] = {};
    std::memcpy(tail, last_load, 64);
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
  prefetch_second_level(src, size);
  LineVerdict verdict = LineVerdict::kCutOff;
  if (size >= kLineBitmapsBytes + 64) verdict = line_decode(src, size, size, page);
  if (verdict != LineVerdict::kCutOff) return verdict == LineVerdict::kGood;
  // The largest header ends long before the end of this; so a block that is cut off fits.
  alignas(32) std::byte padded[kLineHeaderMax + 2 * kLineBytes] = {};
  if (size > sizeof(padded) - kLineBytes) return false;
  std::memcpy(padded, src, size);
  return line_decode(padded, size, sizeof(padded), page) == LineVerdict::kGood;
}
