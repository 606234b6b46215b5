// SPDX-License-Identifier: MIT OR Apache-2.0
// The search of zstd:3: matches of four bytes and, in a table of their own, of eight; and a match
// is put off by a byte where a longer one begins there. Included by isa/*.cpp inside their target
// region.

// A match of fewer bytes than this may give way to another one.
constexpr std::size_t kZstdLazyLength = 24;
constexpr std::size_t kZstdLazyRepeat = 12;

// Fills encoder.sequences and encoder.literals.
template <typename Encoder>
PLEAT_INLINE ZstdFound zstd_find_lazy(const std::byte* content, Encoder& encoder) noexcept {
  prefetch_page(content);
  std::memset(encoder.positions, 0, sizeof(encoder.positions));
  std::memset(encoder.long_positions, 0, sizeof(encoder.long_positions));
  const std::byte* const end = content + Encoder::kBytes;
  // Eight bytes are looked at.
  const std::byte* const last = end - 8;
  ZstdTeller teller = zstd_teller(encoder, content);
  const auto near_of = [&](std::uint64_t word) -> std::uint16_t& {
    return encoder.positions[zstd_hash<4>(word, Encoder::kHashBits)];
  };
  const auto far_of = [&](std::uint64_t word) -> std::uint16_t& {
    return encoder.long_positions[zstd_hash<8>(word, Encoder::kHashBits)];
  };
  const auto number = [content](const std::byte* where) {
    return static_cast<std::uint16_t>(where - content);
  };
  // The position before this one with the same eight bytes as far as the table knows; this one
  // takes its place.
  const auto exchange_far = [&](const std::byte* where, std::uint64_t word) {
    return content + std::exchange(far_of(word), number(where));
  };
  const auto note = [&](const std::byte* where) {
    const std::uint64_t word = load_u64(where);
    near_of(word) = number(where);
    far_of(word) = number(where);
  };
  const std::byte* at = content + 1;
  while (at < last) {
    const std::uint64_t word = load_u64(at);
    const std::byte* const near = content + std::exchange(near_of(word), number(at));
    const std::byte* const far = exchange_far(at, word);
    const bool is_far = far < at && load_u64(far) == word;
    const std::byte* match;
    std::size_t length;
    if (const std::size_t repeat = teller.repeats[0];
        repeat <= static_cast<std::size_t>(at + 1 - content) &&
        load_u32(at + 1) == load_u32(at + 1 - repeat)) {
      // One byte on at the last offset, which costs least to tell.
      length = lz4_match_length(at + 1, at + 1 - repeat, end);
      const std::size_t other =
          is_far && length < kZstdLazyRepeat ? lz4_match_length(at, far, end) : 0;
      if (other > length + 2) {
        match = far;
        length = other;
      } else {
        ++at;
        match = at - repeat;
      }
    } else if (is_far || (near < at && load_u32(near) == static_cast<std::uint32_t>(word))) {
      match = is_far ? far : near;
      length = lz4_match_length(at, match, end);
      if (length < kZstdLazyLength) {
        const std::uint64_t next = load_u64(at + 1);
        const std::byte* const later = exchange_far(at + 1, next);
        if (later <= at && load_u64(later) == next) {
          const std::size_t other = lz4_match_length(at + 1, later, end);
          if (other > length) {
            ++at;
            match = later;
            length = other;
          }
        }
      }
    } else {
      at += 1 + (static_cast<std::size_t>(at - teller.told) >> 8);
      continue;
    }
    while (at > teller.told && match > content && at[-1] == match[-1]) {
      --at;
      --match;
      ++length;
    }
    const std::byte* const begin = at;
    zstd_tell(teller, at, static_cast<std::uint32_t>(at - match), length, end);
    at += length;
    if (at >= last) break;
    // Some of the match's positions, and those that its end is found by.
    note(begin + 1);
    note(begin + 2);
    near_of(load_u64(at - 3)) = number(at - 3);
    note(at - 2);
    near_of(load_u64(at - 1)) = number(at - 1);
    at = zstd_tell_second(teller, content, at, last, end, note);
  }
  return zstd_tell_rest(teller, encoder, end);
}
