// SPDX-License-Identifier: MIT OR Apache-2.0
// The parts of the codec lz4hc that tiers with vectors have in another form (hc_base_avx2.inl), by
// words. Both forms give the same results.

// How many bytes at the positions `at` and `from`, which lies before it, are equal, up to
// kLz4HcMatchEnd; the first four are.
PLEAT_INLINE unsigned lz4hc_ahead(const std::byte* page, unsigned at, unsigned from) noexcept {
  const std::size_t more =
      lz4_match_length(page + at + kMinMatch, page + from + kMinMatch, page + kLz4HcMatchEnd);
  return static_cast<unsigned>(kMinMatch + more);
}

// The bits of 64 links that are not -1.
PLEAT_INLINE std::uint64_t lz4hc_linked(const std::int16_t* links) noexcept {
  std::uint64_t bits = 0;
  for (unsigned i = 0; i < 64; ++i) bits |= std::uint64_t{links[i] >= 0} << i;
  return bits;
}

// Prices kLz4HcLanes positions, of which the first is at `costs` and `choices`: the lesser of a
// literal more than what follows, which is `literals` for the first position and kByteCost less for
// each next one, and of a match. A match costs `match`; if it may be shortened to 18 bytes, also
// kMatchCost more than what follows those.
template <bool kShorten>
PLEAT_INLINE void lz4hc_price(std::uint16_t* costs, std::uint16_t* choices, unsigned literals,
                              unsigned match, unsigned choice, unsigned after) noexcept {
  for (unsigned i = 0; i < kLz4HcLanes; ++i) {
    const auto without = static_cast<std::uint16_t>(literals - i * kByteCost);
    auto with = static_cast<std::uint16_t>(match);
    if (kShorten) {
      const auto shorter = static_cast<std::uint16_t>(costs[i + kShortMatch] + kMatchCost);
      with = std::min(with, shorter);
    }
    costs[i] = std::min(with, without);
    choices[i] = static_cast<std::uint16_t>(with <= without ? choice : after);
  }
}
