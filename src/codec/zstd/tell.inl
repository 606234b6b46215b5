// SPDX-License-Identifier: MIT OR Apache-2.0
// Matches as zstd blocks tell them, for every search. Included by isa/*.cpp inside their target
// region.

struct ZstdFound {
  std::size_t sequences;
  std::size_t literals;
};

// What is found, as it is told: offsets as in a frame's first block, by one of the three last ones
// where it is one.
struct ZstdTeller {
  ZstdWrittenSequence* sequence;
  std::byte* literal;
  const std::byte* told;  // what is before it is told
  std::uint32_t repeats[3];
};

template <typename Encoder>
PLEAT_INLINE ZstdTeller zstd_teller(Encoder& encoder, const std::byte* content) noexcept {
  return {encoder.sequences,
          encoder.literals,
          content,
          {kZstdRepeatOffsets[0], kZstdRepeatOffsets[1], kZstdRepeatOffsets[2]}};
}

// Tells `length` bytes at `at`, which are found `offset` before, and the literals before them.
PLEAT_INLINE void zstd_tell(ZstdTeller& teller, const std::byte* at, std::uint32_t offset,
                            std::size_t length, const std::byte* end) noexcept {
  const auto literal_count = static_cast<std::size_t>(at - teller.told);
  // 16 at a time where that ends in the page.
  if (teller.told + ((literal_count + 15) & ~std::size_t{15}) <= end) [[likely]] {
    for (std::size_t i = 0; i < literal_count; i += 16) {
      std::memcpy(teller.literal + i, teller.told + i, 16);
    }
  } else {
    std::memcpy(teller.literal, teller.told, literal_count);
  }
  teller.literal += literal_count;
  // Without literals before, the three are the second, the third, and one less than the first.
  const auto [first, second, third] = teller.repeats;
  const bool has_literals = literal_count != 0;
  std::uint32_t value = offset + 3;
  value = offset == (has_literals ? third : first - 1) ? 3 : value;
  value = offset == (has_literals ? second : third) ? 2 : value;
  value = offset == (has_literals ? first : second) ? 1 : value;
  teller.repeats[2] = offset == first || offset == second ? third : second;
  teller.repeats[1] = offset == first ? second : first;
  teller.repeats[0] = offset;
  *teller.sequence++ = {static_cast<std::uint16_t>(literal_count),
                        static_cast<std::uint16_t>(length), value};
  teller.told = at + length;
}

// Tells what goes on at `at`, behind a match and before `last`, at the offset before the last one,
// as often as that is so, and calls note() with each beginning; the position behind.
template <typename Note>
PLEAT_INLINE const std::byte* zstd_tell_second(ZstdTeller& teller, const std::byte* content,
                                               const std::byte* at, const std::byte* last,
                                               const std::byte* end, const Note& note) noexcept {
  while (teller.repeats[1] <= static_cast<std::size_t>(at - content) &&
         load_u32(at) == load_u32(at - teller.repeats[1])) {
    const std::uint32_t offset = teller.repeats[1];
    const std::size_t length = lz4_match_length(at, at - offset, end);
    note(at);
    zstd_tell(teller, at, offset, length, end);
    at += length;
    if (at >= last) break;
  }
  return at;
}

// The literals behind the last match.
template <typename Encoder>
PLEAT_INLINE ZstdFound zstd_tell_rest(const ZstdTeller& teller, const Encoder& encoder,
                                      const std::byte* end) noexcept {
  const auto tail = static_cast<std::size_t>(end - teller.told);
  std::memcpy(teller.literal, teller.told, tail);
  return {static_cast<std::size_t>(teller.sequence - encoder.sequences),
          static_cast<std::size_t>(teller.literal - encoder.literals) + tail};
}

// Of the first bytes of a word, `kCount` of them.
template <unsigned kCount>
PLEAT_INLINE std::size_t zstd_hash(std::uint64_t word, unsigned bits) noexcept {
  return (word << (64 - 8 * kCount)) * 0x9E37'79B1'85EB'CA87 >> (64 - bits);
}
