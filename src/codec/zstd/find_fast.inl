// SPDX-License-Identifier: MIT OR Apache-2.0
// The search of zstd:fast and zstd:1: one look at a table of hashes and at the last offset for each
// position that is tried. Included by isa/*.cpp inside their target region.

// Fills encoder.sequences and encoder.literals. Matches are of five bytes: what is shorter costs
// more to tell than it saves.
template <typename Encoder>
PLEAT_INLINE ZstdFound zstd_find_fast(const std::byte* content, Encoder& encoder) noexcept {
  prefetch_page(content);
  std::memset(encoder.positions, 0, sizeof(encoder.positions));
  const std::byte* const end = content + Encoder::kBytes;
  // Eight bytes are looked at.
  const std::byte* const last = end - 8;
  ZstdTeller teller = zstd_teller(encoder, content);
  const auto note = [&](const std::byte* where) {
    encoder.positions[zstd_hash<5>(load_u64(where), Encoder::kHashBits)] =
        static_cast<std::uint16_t>(where - content);
  };
  const std::byte* at = content + 1;
  while (at < last) {
    const std::uint64_t word = load_u64(at);
    std::uint16_t& position = encoder.positions[zstd_hash<5>(word, Encoder::kHashBits)];
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
    const std::size_t length = lz4_match_length(at, match, end);
    zstd_tell(teller, at, static_cast<std::uint32_t>(at - match), length, end);
    at += length;
    if (at >= last) break;
    // Positions in the match, of a page three, the last of which its end is found by.
    if constexpr (Encoder::kIsPage) note(begin + 1);
    note(begin + 2);
    note(at - 2);
    at = zstd_tell_second(teller, content, at, last, end, note);
  }
  return zstd_tell_rest(teller, encoder, end);
}
