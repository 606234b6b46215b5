// SPDX-License-Identifier: MIT OR Apache-2.0
// The candidates for one position of a page that lz4hc searches from, one by one, included by
// isa/*.cpp behind block.inl. Tiers with vectors look at most of them in another way
// (hc_base_avx2.inl), with the same results.

// Four starts are kept apart where a match reaches back. A match that starts later than three bytes
// behind the start of another, which ends earlier, is worth no more than its part behind that end:
// it would save no literal.
constexpr unsigned kEarlierStarts = 4;

// The position searched from. Positions up to `back` before it may start a match too. In a run,
// what a candidate's run is longer or shorter by matters: they are aligned by their ends, which lie
// `shift` bytes behind the position and behind the start of a match.
struct Lz4HcPlace {
  unsigned at;
  unsigned back;
  unsigned shift;
  unsigned match_end;
};

// What is known of the matches over it: of those that start in each of the first four bytes that a
// match may start at, or before, the longest from the position on; and of all in the rest. Its
// length times 65536, and its link: of equal ones the nearest is the largest.
struct Lz4HcFound {
  static constexpr unsigned kAll = kEarlierStarts;
  alignas(32) std::uint32_t longest[2 * kEarlierStarts] = {};
  unsigned work = 0;

  unsigned length(unsigned starts) const {
    return std::max<unsigned>(longest[starts] >> 16, kMinMatch - 1);
  }
};

// How many bytes before the positions `at` and `from` are equal, up to `most`.
PLEAT_INLINE unsigned lz4hc_behind(const std::byte* page, unsigned at, unsigned from,
                                   unsigned most) noexcept {
  most = std::min(most, from);
  unsigned count = 0;
  while (from - count >= 8) {
    const std::uint64_t difference =
        load_u64(page + at - count - 8) ^ load_u64(page + from - count - 8);
    if (difference != 0) {
      return std::min(most, count + static_cast<unsigned>(std::countl_zero(difference)) / 8);
    }
    count += 8;
    if (count >= most) return most;
  }
  while (count < most && page[at - count - 1] == page[from - count - 1]) ++count;
  return count;
}

// How far before the position the last of those starts is, if any is before it; or 0.
PLEAT_INLINE unsigned lz4hc_distance(unsigned back) noexcept {
  return back > kEarlierStarts ? back + 1 - kEarlierStarts : back != 0;
}

// How many bytes are equal from the position on; the first four are.
PLEAT_INLINE unsigned lz4hc_ahead(const std::byte* page, const Lz4HcPlace& place,
                                  unsigned from) noexcept {
  const std::byte* const rest = page + place.at + kMinMatch;
  const std::size_t more = lz4_match_length(rest, page + from + kMinMatch, page + place.match_end);
  return static_cast<unsigned>(kMinMatch + more);
}

PLEAT_INLINE void lz4hc_note(const Lz4HcPlace& place, unsigned length, unsigned behind,
                             unsigned link, Lz4HcFound& found) noexcept {
  const std::uint32_t key = length << 16 | link;
  if (const unsigned start = place.back - behind; start < kEarlierStarts) {
    found.longest[start] = std::max(found.longest[start], key);
  }
  std::uint32_t& all = found.longest[Lz4HcFound::kAll];
  all = std::max(all, key);
}

// Looks at the candidates from `link` on, up to `work_most` in all.
PLEAT_INLINE void lz4hc_look_each(const std::byte* page, const std::int16_t* previous,
                                  const Lz4HcPlace& place, int link, unsigned work_most,
                                  Lz4HcFound& found) noexcept {
  const unsigned at = place.at;
  // The eight bytes at the last of the first starts, or those up to the four at `at`.
  const unsigned distance = lz4hc_distance(place.back);
  const unsigned may_be_earlier = distance != 0;
  const std::uint64_t first_bytes = load_u64(page + at - distance);
  const std::uint64_t first_mask =
      distance >= 4 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * (distance + 4)) - 1;
  // A match that is longer than another has the four bytes that end with the first one behind that.
  unsigned all = found.length(Lz4HcFound::kAll);
  unsigned covered = found.length(0);
  std::uint32_t all_bytes = load_u32(page + at + all - 3);
  std::uint32_t covered_bytes = load_u32(page + at + covered - 3);
  unsigned work = found.work;
  for (; link >= static_cast<int>(place.shift) && work < work_most; link = previous[link]) {
    ++work;
    const unsigned from = static_cast<unsigned>(link) - place.shift;
    // Branches on each of these would be mispredicted; the one on all of them mostly is not taken.
    const unsigned longer = load_u32(page + from + all - 3) == all_bytes;
    const unsigned inside = from >= distance;
    const unsigned first = inside != 0 ? from - distance : 0;
    const unsigned begins = ((load_u64(page + first) ^ first_bytes) & first_mask) == 0;
    const unsigned further = load_u32(page + from + covered - 3) == covered_bytes;
    if ((longer | (begins & further & inside & may_be_earlier)) == 0) [[likely]]
      continue;
    if (load_u32(page + from) != load_u32(page + at)) [[unlikely]]
      continue;
    const unsigned behind = lz4hc_behind(page, at, from, place.back);
    if (longer == 0 && behind < distance) continue;
    const unsigned length = lz4hc_ahead(page, place, from);
    work += length / 32;
    lz4hc_note(place, length, behind, static_cast<unsigned>(link), found);
    if (length > kLz4HcLongEnough && length > all) break;
    all = found.length(Lz4HcFound::kAll);
    covered = found.length(0);
    all_bytes = load_u32(page + at + all - 3);
    covered_bytes = load_u32(page + at + covered - 3);
  }
  found.work = work;
}
