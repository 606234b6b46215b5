// SPDX-License-Identifier: MIT OR Apache-2.0
// The matches that zstd's dense levels choose from. Included by isa/*.cpp inside their target
// region.
//
// Of two matches at a position the longer one is of use, and the nearer one, which is cheaper to
// tell. So the search begins at the nearest position with the same three bytes, and goes on to
// further ones for what is longer: what is longer than a match has the three bytes that end with
// the one behind it, too, and their chain is mostly the shorter one.

struct ZstdDenseLevel {
  unsigned candidates;   // that are compared for each position
  unsigned long_enough;  // a match from this length on is not divided
  unsigned seeds;        // of kZstdDenseSeeds
  unsigned passes;       // of each seed
};
constexpr ZstdDenseLevel kZstdDense[kZstdDenseLevels] = {
    {.candidates = 4, .long_enough = 12, .seeds = 1, .passes = 1},
    {.candidates = 32, .long_enough = 128, .seeds = 2, .passes = 3},
};

template <std::size_t kBytes>
PLEAT_INLINE void zstd_chain(const std::byte* content,
                             ZstdDenseEncoderOf<kBytes>& encoder) noexcept {
  static_assert(kZstdDenseMinMatch == 3);
  std::memset(encoder.heads, 0xff, sizeof(encoder.heads));
  for (std::size_t at = 0; at + 4 <= kBytes; ++at) {
    const std::uint32_t hash =
        (load_u32(content + at) << 8) * 0x9E3779B1u >> (32 - kZstdDenseHashBits);
    encoder.previous[at] = std::exchange(encoder.heads[hash], static_cast<std::int16_t>(at));
  }
  // No match starts at the last three.
  for (std::size_t at = kBytes - 3; at < kBytes; ++at) encoder.previous[at] = -1;
}

// The matches of position `at`, written from `match` on; what is behind them.
template <std::size_t kBytes>
PLEAT_INLINE ZstdMatch* zstd_search_at(const std::byte* content, std::size_t at,
                                       const ZstdDenseLevel& level, const std::int16_t* previous,
                                       ZstdMatch* match) noexcept {
  const std::byte* const end = content + kBytes;
  std::size_t longest = kZstdDenseMinMatch - 1;
  // Chains of frequent bytes are left after so many steps.
  unsigned steps = 4 * level.candidates;
  // How far behind the position the bytes are whose chain is followed.
  int behind = 0;
  int from = previous[at];
  for (unsigned tried = 0; from >= 0 && tried < level.candidates; ++tried) {
    std::size_t length = 0;
    if (content[static_cast<std::size_t>(from) + longest] == content[at + longest]) [[likely]] {
      length = lz4_match_length(content + at, content + from, end);
    }
    if (length <= longest) {
      from = previous[from + behind] - behind;
      continue;
    }
    longest = length;
    *match++ = {static_cast<std::uint16_t>(length),
                static_cast<std::uint16_t>(at - static_cast<std::size_t>(from))};
    if (length >= level.long_enough || at + length == kBytes) break;
    behind = static_cast<int>(length - (kZstdDenseMinMatch - 1));
    int next = previous[at + static_cast<std::size_t>(behind)];
    for (; next - behind >= from && steps > 0; --steps) next = previous[next];
    if (steps == 0) break;
    from = next - behind;
  }
  return match;
}

// Fills encoder.matches.
template <std::size_t kBytes>
PLEAT_INLINE void zstd_search(const std::byte* content, const ZstdDenseLevel& level,
                              ZstdDenseEncoderOf<kBytes>& encoder) noexcept {
  zstd_chain(content, encoder);
  ZstdMatch* match = encoder.matches;
  const ZstdMatch* const full = encoder.matches + encoder.kMatches - level.candidates;
  std::size_t covered = 0;
  for (std::size_t at = 0; at < kBytes; ++at) {
    encoder.begins[at] = static_cast<std::uint32_t>(match - encoder.matches);
    if (at < covered || match > full) continue;
    const ZstdMatch* const first = match;
    match = zstd_search_at<kBytes>(content, at, level, encoder.previous, match);
    if (match == first) continue;
    if (const std::size_t length = match[-1].length; length >= level.long_enough) {
      covered = at + length;
    }
  }
  encoder.begins[kBytes] = static_cast<std::uint32_t>(match - encoder.matches);
}
