// SPDX-License-Identifier: MIT OR Apache-2.0
// How the compressor of avx2.inl finds candidates for each line's reference, and takes the best.

// The walk of walk.inl, which keeps what the words find in rows of a line.
template <unsigned kProbes>
PLEAT_INLINE void line_walk(std::size_t begin, std::size_t end, LineWorkspace& work,
                            LineSteps& steps) noexcept {
  for (std::size_t line = begin; line < end; ++line) {
    const std::size_t before = kLineWords * (line - 1);
    // Put together in registers: g++ would store some of them one by one and load pairs of them.
    std::uint64_t found[2] = {0, 0};
    std::size_t probe = 0;
#pragma GCC unroll 8
    for (std::size_t word = 0; word < kLineWords; ++word) {
      const std::size_t place = kLineHashPlace[word];
      work.positions[steps.hashes[line - 1][place]] = static_cast<std::uint16_t>(before + word);
      if ((kProbes >> word & 1) == 0) continue;
      const std::uint64_t position = work.positions[steps.hashes[line][place]];
      found[probe / 4] |= position << 16 * (probe % 4);
      ++probe;
    }
    put(steps.found[line], found[0]);
    if constexpr (std::popcount(kProbes) > 4) put(steps.found[line] + 4, found[1]);
  }
}

// Eight sums a candidate, of bytes that are -1 where the line has the candidate's byte, to one word
// a candidate: the sum, modulo 128, in its upper 7 bits.
PLEAT_INLINE __m128i line_scores(const __m256i* sums) noexcept {
  const __m256i first = _mm256_packus_epi32(_mm256_packus_epi32(sums[0], sums[1]),
                                            _mm256_packus_epi32(sums[2], sums[3]));
  const __m256i second = _mm256_packus_epi32(_mm256_packus_epi32(sums[4], sums[5]),
                                             _mm256_packus_epi32(sums[6], sums[7]));
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i quarters =
      _mm256_packus_epi32(_mm256_madd_epi16(first, ones), _mm256_madd_epi16(second, ones));
  const __m128i scores =
      _mm_add_epi16(_mm256_castsi256_si128(quarters), _mm256_extracti128_si256(quarters, 1));
  return _mm_slli_epi16(scores, kLineDistanceBits);
}

// Lines 0 and 1 have no choice.
PLEAT_INLINE void line_first_lines(const std::byte* page, LineSteps& steps) noexcept {
  steps.chosen[0] = steps.chosen[1] = 0;
  for (std::size_t half = 0; half < 2; ++half) {
    steps.same[0][half] = steps.zero[0][half];
    steps.same[1][half] = static_cast<std::uint32_t>(_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(line_load(page + kLineBytes + 32 * half), line_load(page + 32 * half))));
  }
}

template <unsigned kProbes>
PLEAT_INLINE void line_choose(const std::byte* page, std::size_t begin, std::size_t end,
                              LineSteps& steps) noexcept {
  constexpr std::size_t kCount = std::popcount(kProbes);
  // The words that are looked up.
  constexpr auto kWords = [] {
    std::array<std::uint16_t, kLineWords> words{};
    std::size_t count = 0;
    for (std::uint16_t word = 0; word < kLineWords; ++word) {
      if ((kProbes >> word & 1) != 0) words[count++] = word;
    }
    return words;
  }();
  // A score of 64 less the bytes found, over the `near`; two candidates without a probe follow on
  // the probes, and where there are more than 8 in all they have vectors of their own.
  constexpr bool kOneVector = kCount + 2 <= 8;
  constexpr int kFixed = kOneVector ? 0xFF << kCount & 0xFF : 0;
  alignas(16) static constexpr auto kNearFixed = [] {
    std::array<std::uint16_t, 8> near{};
    for (std::size_t i = 0; i < 8; ++i) {
      near[i] = static_cast<std::uint16_t>(0x8000 + (i == (kOneVector ? kCount + 1 : 1) ? 8 : 0));
    }
    return near;
  }();
  const __m128i fixed = line_load_half(kNearFixed.data());
  __m128i at_word =
      _mm_add_epi16(line_load_half(kWords.data()),
                    _mm_set1_epi16(static_cast<short>(0x8000 + kLineWords * (begin - 1))));
  const __m256i zero = _mm256_setzero_si256();
  const __m256i stand_in = _mm256_set1_epi8(static_cast<char>(kLineScoreZero));

  const std::byte* const before = page + kLineBytes * (begin - 1);
  __m256i second[2] = {line_load(before - kLineBytes), line_load(before - 32)};
  __m256i first[2] = {line_load(before), line_load(before + 32)};
  for (std::size_t line = begin; line < end; ++line) {
    const std::byte* const at = page + kLineBytes * line;
    const __m256i value[2] = {line_load(at), line_load(at + 32)};
    __m256i scored[2];
    for (std::size_t half = 0; half < 2; ++half) {
      scored[half] = _mm256_or_si256(
          value[half], _mm256_and_si256(_mm256_cmpeq_epi8(value[half], zero), stand_in));
    }
    const auto sums_of = [&](__m256i low, __m256i high) {
      return _mm256_sad_epu8(
          _mm256_add_epi8(_mm256_cmpeq_epi8(scored[0], low), _mm256_cmpeq_epi8(scored[1], high)),
          zero);
    };
    __m256i sums[8];
#pragma GCC unroll 8
    for (std::size_t probe = 0; probe < kCount; ++probe) {
      const std::byte* const from =
          page + std::size_t{8} * steps.found[line][probe] - std::size_t{8} * kWords[probe];
      sums[probe] = sums_of(line_load(from), line_load(from + 32));
    }
    const __m256i near_sums[2] = {sums_of(first[0], first[1]), sums_of(second[0], second[1])};
    __m128i near = _mm_sub_epi16(at_word, line_load_half(steps.found[line]));
    at_word = _mm_add_epi16(at_word, _mm_set1_epi16(kLineWords));
    __m128i keys;
    if constexpr (kOneVector) {
      sums[kCount] = near_sums[0];
      sums[kCount + 1] = near_sums[1];
#pragma GCC unroll 8
      for (std::size_t i = kCount + 2; i < 8; ++i) sums[i] = near_sums[0];
      near = _mm_blend_epi16(near, fixed, kFixed);
      keys = _mm_add_epi16(line_scores(sums), near);
    } else {
      keys = _mm_add_epi16(line_scores(sums), near);
      const __m256i others[8] = {near_sums[0], near_sums[1], near_sums[0], near_sums[0],
                                 near_sums[0], near_sums[0], near_sums[0], near_sums[0]};
      keys = _mm_min_epu16(keys, _mm_add_epi16(line_scores(others), fixed));
    }
    const auto key = static_cast<unsigned>(_mm_cvtsi128_si32(_mm_minpos_epu16(keys)));
    const std::size_t chosen = key & ((1u << kLineDistanceBits) - 1);
    steps.chosen[line] = static_cast<std::uint16_t>(chosen);
    const std::byte* const reference = at - kLineBytes - 8 * chosen;
    for (std::size_t half = 0; half < 2; ++half) {
      steps.same[line][half] = static_cast<std::uint32_t>(
          _mm256_movemask_epi8(_mm256_cmpeq_epi8(value[half], line_load(reference + 32 * half))));
      second[half] = first[half];
      first[half] = value[half];
    }
  }
}
