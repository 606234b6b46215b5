// SPDX-License-Identifier: MIT OR Apache-2.0
// The search of zstd:1: one look at a table of hashes and at the last offset for each position that
// is tried. Included by isa/*.cpp inside their target region.

// Of five bytes: what is shorter costs more to tell than it saves.
PLEAT_INLINE std::size_t zstd_hash(std::uint64_t word, unsigned bits) noexcept {
  return (word << 24) * 0x9E37'79B1'85EB'CA87 >> (64 - bits);
}

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

// Fills encoder.sequences and encoder.literals.
template <typename Encoder>
PLEAT_INLINE ZstdFound zstd_find_fast(const std::byte* content, Encoder& encoder) noexcept {
  std::memset(encoder.positions, 0, sizeof(encoder.positions));
  const std::byte* const end = content + Encoder::kBytes;
  // Eight bytes are looked at.
  const std::byte* const last = end - 8;
  ZstdTeller teller = {encoder.sequences,
                       encoder.literals,
                       content,
                       {kZstdRepeatOffsets[0], kZstdRepeatOffsets[1], kZstdRepeatOffsets[2]}};
  const auto note = [&](const std::byte* where) {
    encoder.positions[zstd_hash(load_u64(where), Encoder::kHashBits)] =
        static_cast<std::uint16_t>(where - content);
  };
  const std::byte* at = content + 1;
  while (at < last) {
    const std::uint64_t word = load_u64(at);
    std::uint16_t& position = encoder.positions[zstd_hash(word, Encoder::kHashBits)];
    const std::byte* match = content + position;
    position = static_cast<std::uint16_t>(at - content);
    // One byte on at the last offset, which costs least to tell.
    const std::size_t repeat = teller.repeats[0];
    if (repeat <= static_cast<std::size_t>(at + 1 - content) &&
        load_u32(at + 1) == load_u32(at + 1 - repeat)) {
      ++at;
      match = at - repeat;
    } else if (match < at && load_u32(match) == static_cast<std::uint32_t>(word)) {
      while (at > teller.told && match > content && at[-1] == match[-1]) {
        --at;
        --match;
      }
    } else {
      at += 1 + (static_cast<std::size_t>(at - teller.told) >> 8);
      continue;
    }
    const std::byte* const begin = at;
    std::size_t length = lz4_match_length(at, match, end);
    zstd_tell(teller, at, static_cast<std::uint32_t>(at - match), length, end);
    at += length;
    if (at >= last) break;
    // Two positions in the match, one of which its end is found by.
    note(begin + 2);
    note(at - 2);
    // What goes on at the offset before the last one.
    while (teller.repeats[1] <= static_cast<std::size_t>(at - content) &&
           load_u32(at) == load_u32(at - teller.repeats[1])) {
      const std::uint32_t offset = teller.repeats[1];
      length = lz4_match_length(at, at - offset, end);
      note(at);
      zstd_tell(teller, at, offset, length, end);
      at += length;
      if (at >= last) break;
    }
  }
  const auto tail = static_cast<std::size_t>(end - teller.told);
  std::memcpy(teller.literal, teller.told, tail);
  return {static_cast<std::size_t>(teller.sequence - encoder.sequences),
          static_cast<std::size_t>(teller.literal - encoder.literals) + tail};
}
