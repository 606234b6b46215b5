// SPDX-License-Identifier: MIT OR Apache-2.0
// What dense_relax_words.inl defines, with AVX2: eight lengths at a time, of which those behind the
// last one are left as they are.

PLEAT_INLINE __m256i zstd_splat(std::size_t value) noexcept {
  return _mm256_set1_epi32(static_cast<int>(value));
}
PLEAT_INLINE __m256i zstd_load_lanes(const std::uint32_t* from) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
PLEAT_INLINE void zstd_store_lanes(std::uint32_t* to, __m256i value) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
}

PLEAT_INLINE void zstd_relax(const std::uint32_t* prices, std::size_t first, std::size_t last,
                             std::uint32_t base, std::uint32_t offset, std::uint32_t* costs,
                             std::uint32_t* steps) noexcept {
  static_assert(kZstdDenseLanes * sizeof(std::uint32_t) == sizeof(__m256i));
  const __m256i end = zstd_splat(last + 1);
  __m256i lengths = _mm256_add_epi32(zstd_splat(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  for (std::size_t at = first; at <= last; at += kZstdDenseLanes) {
    const __m256i known = zstd_load_lanes(costs + at);
    const __m256i cost = _mm256_add_epi32(zstd_splat(base), zstd_load_lanes(prices + at));
    const __m256i is_cheaper =
        _mm256_and_si256(_mm256_cmpgt_epi32(known, cost), _mm256_cmpgt_epi32(end, lengths));
    const __m256i step = _mm256_or_si256(zstd_splat(std::size_t{offset} << 16), lengths);
    zstd_store_lanes(costs + at, _mm256_blendv_epi8(known, cost, is_cheaper));
    zstd_store_lanes(steps + at, _mm256_blendv_epi8(zstd_load_lanes(steps + at), step, is_cheaper));
    lengths = _mm256_add_epi32(lengths, zstd_splat(kZstdDenseLanes));
  }
}
