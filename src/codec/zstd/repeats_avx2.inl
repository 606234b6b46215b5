// SPDX-License-Identifier: MIT OR Apache-2.0
// What the loop of zstd's sequences has of a tier, with BMI2 and a shuffle; see repeats_words.inl.

// The lowest `count` bits of a word, up to 32.
PLEAT_INLINE std::uint64_t zstd_low(std::uint64_t word, unsigned count) noexcept {
  return _bzhi_u64(word, count);
}

// How the three last offsets, and a new one behind them, become the three last ones.
struct alignas(32) ZstdRepeatShuffle {
  std::uint32_t from[4];  // the bytes of each
  std::uint32_t plus[4];
};
// For twice a sequence's value, and one without literals; the last one is for all new offsets.
constexpr ZstdRepeatShuffle kZstdRepeatShuffles[9] = {
    {},
    {},
    {{0x03020100, 0x07060504, 0x0b0a0908}, {}},
    {{0x07060504, 0x03020100, 0x0b0a0908}, {}},
    {{0x07060504, 0x03020100, 0x0b0a0908}, {}},
    {{0x0b0a0908, 0x03020100, 0x07060504}, {}},
    {{0x0b0a0908, 0x03020100, 0x07060504}, {}},
    {{0x03020100, 0x03020100, 0x07060504}, {UINT32_MAX}},
    {{0x0f0e0d0c, 0x03020100, 0x07060504}, {}},
};

struct ZstdRepeats {
  __m128i last;  // the first one lowest

  PLEAT_INLINE static ZstdRepeats from(const std::array<std::uint32_t, 3>& offsets) noexcept {
    return {_mm_setr_epi32(static_cast<int>(offsets[0]), static_cast<int>(offsets[1]),
                           static_cast<int>(offsets[2]), 0)};
  }
  PLEAT_INLINE std::array<std::uint32_t, 3> offsets() const noexcept {
    return {static_cast<std::uint32_t>(_mm_cvtsi128_si32(last)),
            static_cast<std::uint32_t>(_mm_extract_epi32(last, 1)),
            static_cast<std::uint32_t>(_mm_extract_epi32(last, 2))};
  }

  // The offset that a sequence's value stands for, which becomes the first one. Values up to 3 are
  // one of the last offsets: one further, without literals before.
  PLEAT_INLINE std::uint32_t take(std::uint64_t value, bool has_literals) noexcept {
    const std::uint64_t which = std::min(2 * value + !has_literals, std::uint64_t{8});
    const ZstdRepeatShuffle& shuffle = kZstdRepeatShuffles[which];
    const __m128i four = _mm_insert_epi32(last, static_cast<int>(value - 3), 3);
    last = _mm_add_epi32(
        _mm_shuffle_epi8(four, _mm_load_si128(reinterpret_cast<const __m128i*>(shuffle.from))),
        _mm_load_si128(reinterpret_cast<const __m128i*>(shuffle.plus)));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(last));
  }
};
