// SPDX-License-Identifier: MIT OR Apache-2.0
// What hc_base_words.inl defines, with AVX2.

PLEAT_INLINE unsigned lz4hc_ahead(const std::byte* page, unsigned at, unsigned from,
                                  const Lz4HcPart& part) noexcept {
  const unsigned room = part.match_end - at;
  if (at + sizeof(__m256i) > part.end) [[unlikely]] {
    return static_cast<unsigned>(lz4_match_length(page + at, page + from, page + part.match_end));
  }
  const __m256i equal = _mm256_cmpeq_epi8(vec_load(page + at), vec_load(page + from));
  // All ones would count as 32 zero bits, as the instruction defines it.
  const auto bits = static_cast<unsigned>(_mm256_movemask_epi8(equal));
  const unsigned length = static_cast<unsigned>(std::countr_one(bits));
  if (length < sizeof(__m256i) || room <= sizeof(__m256i)) [[likely]]
    return std::min(length, room);
  const std::size_t more =
      lz4_match_length(page + at + length, page + from + length, page + part.match_end);
  return static_cast<unsigned>(length + more);
}

PLEAT_INLINE __m256i lz4hc_splat(unsigned value) noexcept {
  return _mm256_set1_epi16(static_cast<short>(value));
}

// The signs of two times 16 numbers, a bit each.
PLEAT_INLINE std::uint32_t lz4hc_signs(__m256i low, __m256i high) noexcept {
  // Packing keeps signs, and takes 8 bytes of each vector in turn.
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(packed));
}

PLEAT_INLINE std::uint64_t lz4hc_linked(const std::int16_t* links) noexcept {
  std::uint64_t bits = 0;
  for (unsigned half = 0; half < 64; half += 32) {
    const auto* const from = reinterpret_cast<const __m256i*>(links + half);
    const std::uint32_t unlinked =
        lz4hc_signs(_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1));
    bits |= std::uint64_t{~unlinked} << half;
  }
  return bits;
}

PLEAT_INLINE std::uint64_t lz4hc_adjacent(const std::int16_t* links, unsigned at) noexcept {
  std::uint64_t bits = 0;
  __m256i before = _mm256_setr_epi16(-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
  before = _mm256_add_epi16(before, lz4hc_splat(at));
  for (unsigned half = 0; half < 64; half += 32) {
    const auto* const from = reinterpret_cast<const __m256i*>(links + half);
    const __m256i low = _mm256_cmpeq_epi16(_mm256_loadu_si256(from), before);
    before = _mm256_add_epi16(before, lz4hc_splat(16));
    const __m256i high = _mm256_cmpeq_epi16(_mm256_loadu_si256(from + 1), before);
    before = _mm256_add_epi16(before, lz4hc_splat(16));
    bits |= std::uint64_t{lz4hc_signs(low, high)} << half;
  }
  return bits;
}

template <bool kShorten>
PLEAT_INLINE void lz4hc_price(std::uint16_t* costs, std::uint16_t* choices, unsigned literals,
                              unsigned match, unsigned choice, unsigned after) noexcept {
  static_assert(kLz4HcLanes * sizeof(std::uint16_t) == sizeof(__m256i));
  const __m256i lanes = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m256i without =
      _mm256_sub_epi16(lz4hc_splat(literals), _mm256_mullo_epi16(lanes, lz4hc_splat(kByteCost)));
  __m256i with = lz4hc_splat(match);
  if (kShorten) {
    const auto* const behind = reinterpret_cast<const __m256i*>(costs + kShortMatch);
    with = _mm256_min_epu16(with,
                            _mm256_add_epi16(_mm256_loadu_si256(behind), lz4hc_splat(kMatchCost)));
  }
  const __m256i least = _mm256_min_epu16(with, without);
  const __m256i taken = _mm256_cmpeq_epi16(least, with);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(costs), least);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(choices),
                      _mm256_blendv_epi8(lz4hc_splat(after), lz4hc_splat(choice), taken));
}
