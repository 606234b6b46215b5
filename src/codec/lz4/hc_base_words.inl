// SPDX-License-Identifier: MIT OR Apache-2.0
// The parts of the codec lz4hc that tiers with vectors have in another form (hc_base_avx2.inl), by
// words. Both forms give the same results.

// Looks at the candidates.
PLEAT_INLINE void lz4hc_look(const std::byte* page, const std::int16_t* previous,
                             const Lz4HcPlace& place, unsigned work_most,
                             Lz4HcFound& found) noexcept {
  lz4hc_look_each(page, previous, place, previous[place.at], work_most, found);
}

PLEAT_INLINE unsigned lz4hc_behind_soon(const std::byte* page, unsigned at, unsigned from,
                                        unsigned most) noexcept {
  return lz4hc_behind(page, at, from, most);
}

// The signs of four numbers of 16 bits, a bit each.
PLEAT_INLINE std::uint64_t lz4hc_signs(std::uint64_t numbers) noexcept {
  // The bits 0, 16, 32, 48 come to 48, 49, 50, 51; nothing else comes there.
  constexpr std::uint64_t kGather = 1ull << 48 | 1ull << 33 | 1ull << 18 | 1ull << 3;
  return ((numbers >> 15 & 0x0001000100010001) * kGather) >> 48 & 15;
}

// The bits of 64 links that are not -1.
PLEAT_INLINE std::uint64_t lz4hc_linked(const std::int16_t* links) noexcept {
  std::uint64_t bits = 0;
  for (unsigned i = 0; i < 64; i += 4) bits |= lz4hc_signs(~load_u64(links + i)) << i;
  return bits;
}

// The bits of the 64 positions from `at` on whose links are the positions before them.
PLEAT_INLINE std::uint64_t lz4hc_adjacent(const std::int16_t* links, unsigned at) noexcept {
  constexpr std::uint64_t kLow = 0x7fff7fff7fff7fff;
  std::uint64_t bits = 0;
  for (unsigned i = 0; i < 64; i += 4) {
    const std::uint64_t first = at + i;
    const std::uint64_t before =
        first == 0 ? 0x000200010000ffff : (first - 1) * 0x0001000100010001 + 0x0003000200010000;
    const std::uint64_t difference = load_u64(links + i) ^ before;
    // A number's sign is set where it is not 0.
    const std::uint64_t other = ((difference & kLow) + kLow) | difference;
    bits |= lz4hc_signs(~other) << i;
  }
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
