// SPDX-License-Identifier: MIT OR Apache-2.0
// What hc_base_words.inl defines, with AVX2.

// One bit a byte: whether it is equal.
PLEAT_INLINE std::uint32_t lz4hc_equal(__m256i bytes, const std::byte* from) noexcept {
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, vec_load(from))));
}

PLEAT_INLINE __m256i lz4hc_lanes(std::uint32_t value) noexcept {
  return _mm256_set1_epi32(static_cast<int>(value));
}

// lz4hc_behind(), mostly without a branch.
PLEAT_INLINE unsigned lz4hc_behind_soon(const std::byte* page, unsigned at, unsigned from,
                                        unsigned most) noexcept {
  if (from < 32 || most >= 32) [[unlikely]]
    return lz4hc_behind(page, at, from, most);
  const std::uint32_t differs = ~lz4hc_equal(vec_load(page + at - 32), page + from - 32);
  return std::min(most, static_cast<unsigned>(std::countl_zero(differs | 1)));
}

// By how far before the position a match may start, up to 32, and by lane of Lz4HcFound::longest:
// which of the 32 bytes before the position must be equal, a bit each.
constexpr unsigned kLz4HcNearBack = 32;
alignas(32) constexpr auto kLz4HcNeeded = [] {
  std::array<std::array<std::uint32_t, 2 * kEarlierStarts>, kLz4HcNearBack + 1> rows{};
  for (unsigned back = 0; back <= kLz4HcNearBack; ++back) {
    for (unsigned i = 0; i < kEarlierStarts && i < back; ++i) {
      rows[back][i] = ~std::uint32_t{0} << (32 - (back - i));
    }
  }
  return rows;
}();

// Looks at the candidates but those in the first 32 bytes, and returns the link of the first that
// is left. Most differ from the position within 32 bytes: what they are of use for is told without
// branches, which would be mispredicted. With kFar, a match may start more than 32 bytes before the
// position.
template <bool kFar>
[[gnu::noinline]] int lz4hc_look_by_vectors(const std::byte* page, const std::int16_t* previous,
                                            const Lz4HcPlace& place, unsigned work_most,
                                            Lz4HcFound& found) noexcept {
  const std::byte* const at = page + place.at;
  const __m256i ahead = vec_load(at);
  const __m256i behind = vec_load(at - 32);
  const auto back = static_cast<int>(place.back);
  const __m256i needed =
      kFar ? _mm256_setr_epi32(back, back - 1, back - 2, back - 3, 0, 0, 0, 0)
           : _mm256_load_si256(reinterpret_cast<const __m256i*>(kLz4HcNeeded[place.back].data()));
  __m256i longest = _mm256_load_si256(reinterpret_cast<const __m256i*>(found.longest));
  constexpr int kEnough = 1 << 30;
  int last = static_cast<int>(place.shift) + 32;
  int left = static_cast<int>(work_most);
  int link = previous[place.at];
  for (; link >= last && left > 0; link = previous[link]) {
    --left;
    const std::byte* const from = page + (static_cast<unsigned>(link) - place.shift);
    const std::uint32_t differs = lz4hc_equal(ahead, from) + 1;
    auto length = static_cast<std::uint32_t>(std::countr_zero(differs));
    const std::uint32_t equal_behind = lz4hc_equal(behind, from - 32);
    // By lane, whether it reaches back to the start.
    unsigned count = 0;
    __m256i reached;
    if (kFar) {
      count = static_cast<unsigned>(std::countl_one(equal_behind));
      if (count == 32) {
        count = lz4hc_behind(page, place.at, static_cast<unsigned>(from - page), place.back);
      }
      reached = _mm256_cmpgt_epi32(lz4hc_lanes(count + 1), needed);
    } else {
      reached = _mm256_cmpeq_epi32(_mm256_andnot_si256(lz4hc_lanes(equal_behind), needed),
                                   _mm256_setzero_si256());
    }
    if (differs == 0) [[unlikely]] {
      if (!kFar) count = static_cast<unsigned>(std::countl_one(equal_behind));
      const unsigned distance = lz4hc_distance(place.back);
      const bool begins = distance != 0 && count >= distance;
      const auto all =
          static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm256_extracti128_si256(longest, 1))) >> 16;
      const auto covered = static_cast<std::uint32_t>(_mm256_cvtsi256_si32(longest)) >> 16;
      const auto ends = [&](std::uint32_t bytes) {
        return bytes < 32 || load_u32(from + bytes - 3) == load_u32(at + bytes - 3);
      };
      if (!ends(all) && !(begins && ends(covered))) continue;
      length =
          32 + static_cast<unsigned>(lz4_match_length(at + 32, from + 32, page + place.match_end));
      left -= static_cast<int>(length / 32);
      if (length > kLz4HcLongEnough && length > all) last = kEnough;
    }
    const __m256i key = lz4hc_lanes((length << 16) + static_cast<std::uint32_t>(link));
    longest = _mm256_max_epu32(longest, _mm256_and_si256(key, reached));
  }
  _mm256_store_si256(reinterpret_cast<__m256i*>(found.longest), longest);
  found.work = static_cast<unsigned>(static_cast<int>(work_most) - left);
  return last == kEnough ? -1 : link;
}

// The few that are left.
[[gnu::noinline]] void lz4hc_look_rest(const std::byte* page, const std::int16_t* previous,
                                       const Lz4HcPlace& place, int link, unsigned work_most,
                                       Lz4HcFound& found) noexcept {
  lz4hc_look_each(page, previous, place, link, work_most, found);
}

// Looks at the candidates.
PLEAT_INLINE void lz4hc_look(const std::byte* page, const std::int16_t* previous,
                             const Lz4HcPlace& place, unsigned work_most,
                             Lz4HcFound& found) noexcept {
  int link = previous[place.at];
  if (place.at >= 32 && place.at + 32 <= place.match_end) [[likely]] {
    if (place.back <= kLz4HcNearBack) [[likely]] {
      link = lz4hc_look_by_vectors<false>(page, previous, place, work_most, found);
    } else {
      link = lz4hc_look_by_vectors<true>(page, previous, place, work_most, found);
    }
  }
  if (link >= static_cast<int>(place.shift)) [[unlikely]]
    lz4hc_look_rest(page, previous, place, link, work_most, found);
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
