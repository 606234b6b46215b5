// SPDX-License-Identifier: MIT OR Apache-2.0
// The line format with half a line a register: AVX2, and tables (shuffle_tables.h) in place of the
// instructions that compress and expand. It has neither pext nor pdep, which processors before
// AMD's third Zen split into dozens of steps. No branch depends on the data but those that end a
// block.

PLEAT_INLINE __m256i line_load(const void* from) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
PLEAT_INLINE __m128i line_load_half(const void* from) noexcept {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
PLEAT_INLINE __m128i line_load_word(const void* from) noexcept {
  return _mm_loadl_epi64(static_cast<const __m128i*>(from));
}
PLEAT_INLINE void line_store(void* to, __m256i value) noexcept {
  _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}
PLEAT_INLINE void line_store_half(void* to, __m128i value) noexcept {
  _mm_storeu_si128(static_cast<__m128i*>(to), value);
}
// A table of 16 bytes, for shuffles.
PLEAT_INLINE __m256i line_table(const std::array<std::uint8_t, 16>& bytes) noexcept {
  return _mm256_broadcastsi128_si256(line_load_half(bytes.data()));
}
PLEAT_INLINE __m256i line_low_nibbles(__m256i bytes) noexcept {
  return _mm256_and_si256(bytes, _mm256_set1_epi8(15));
}
PLEAT_INLINE __m256i line_high_nibbles(__m256i bytes) noexcept {
  return line_low_nibbles(_mm256_srli_epi16(bytes, 4));
}

// Of 4 words a line, the sums of the words up to each.
PLEAT_INLINE __m256i line_running_sums(__m256i words) noexcept {
  const __m256i pairs = _mm256_add_epi16(words, _mm256_slli_epi64(words, 16));
  return _mm256_add_epi16(pairs, _mm256_slli_epi64(pairs, 32));
}

#include "codec/line/avx2_compress.inl"
#include "codec/line/avx2_decompress.inl"
#include "codec/line/levels.inl"
