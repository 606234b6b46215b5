// SPDX-License-Identifier: MIT OR Apache-2.0
// The matches of a page that its cheapest parse may use, included by isa/*.cpp behind
// hc_candidate.inl and the tier's hc_base_*.inl.
//
// The format has one price for all offsets, so of all matches that start at a position only the
// longest matters (it may be shortened). Within a match, the longest one of the next position is
// what is left of it, or one that reaches further; that one contains the byte behind the match, and
// the three before it. So behind each match the search goes on at its last three bytes, and looks
// from there at how far each candidate also reaches back: one chain instead of one a position.

PLEAT_INLINE std::uint32_t lz4hc_hash(std::uint32_t bytes) noexcept {
  return (bytes * 0x9E3779B1u) >> (32 - kLz4HcHashBits);
}

// Within a run of one byte each position's link is the position before it. They get the link of the
// run's start instead, which leads out of the run; or 0 where there is none, which keeps them among
// the positions that are looked at. `runs` has a bit for each such position of these 64.
PLEAT_INLINE void lz4hc_shorten_runs(std::int16_t* links, std::uint64_t runs) noexcept {
  while (runs != 0) {
    const int first = std::countr_zero(runs);
    const int end = first + std::countr_one(runs >> first);
    const auto out = std::max<std::int16_t>(links[first - 1], 0);
    for (int at = first; at < end; ++at) links[at] = out;
    runs = end < 64 ? runs >> end << end : 0;
  }
}

// Chains all positions of the block.
template <unsigned kPages>
PLEAT_INLINE void lz4hc_chain(const std::byte* page,
                              Lz4HcBlockWorkspace<kPages>& workspace) noexcept {
  constexpr unsigned kLastStart = lz4hc_part(kPages - 1, kPages).last_start;
  constexpr unsigned kBytes = kPages * kPageSize;
  prefetch_page(page);
  std::int16_t* const heads = workspace.heads;
  std::int16_t* const previous = workspace.previous;
  std::memset(heads, 0xff, sizeof(workspace.heads));
#pragma GCC unroll 4
  for (unsigned at = 0; at <= kLastStart; ++at) {
    const std::uint32_t hash = lz4hc_hash(load_u32(page + at));
    previous[at] = heads[hash];
    heads[hash] = static_cast<std::int16_t>(at);
  }
  // Positions that no match may start at: linked, so that the last step of the search finds one.
  for (unsigned at = kLastStart + 1; at < kBytes; ++at) previous[at] = 0;
  for (unsigned word = 0; word < kBytes / 64; ++word) {
    std::int16_t* const links = previous + std::size_t{64} * word;
    workspace.linked[word] = lz4hc_linked(links);
    std::uint64_t runs = lz4hc_adjacent(links, 64 * word);
    // The position before the first one is where no link leads.
    if (word == 0) runs &= ~std::uint64_t{1};
    lz4hc_shorten_runs(links, runs);
  }
}

// The first position from `at` on that has a candidate; one behind the last that a match may start
// at if there is none.
template <unsigned kPages>
PLEAT_INLINE unsigned lz4hc_next(const Lz4HcBlockWorkspace<kPages>& workspace,
                                 unsigned at) noexcept {
  unsigned word = at / 64;
  const std::uint64_t bits = workspace.linked[word] >> at % 64;
  if (bits != 0) [[likely]]
    return at + static_cast<unsigned>(std::countr_zero(bits));
  do ++word;
  while (workspace.linked[word] == 0);
  return word * 64 + static_cast<unsigned>(std::countr_zero(workspace.linked[word]));
}

PLEAT_INLINE Lz4HcMatch lz4hc_match(const Lz4HcPart& part, unsigned start, unsigned end,
                                    unsigned offset) noexcept {
  return {static_cast<std::uint16_t>(start - part.begin),
          static_cast<std::uint16_t>(end - part.begin), static_cast<std::uint16_t>(offset)};
}

// The matches of one page of the block.
template <unsigned kPages>
PLEAT_INLINE void lz4hc_search(const std::byte* page, Lz4HcBlockWorkspace<kPages>& workspace,
                               const Lz4HcPart& part) noexcept {
  Lz4HcMatch* last = workspace.parse.matches;
  unsigned work_left = kLz4HcWorkAllowance;
  unsigned work_done = 0;
  // The position looked at before this one. No match starts at the first one of the block.
  unsigned before = part.begin == 0 ? 0 : part.begin - 1;
  for (unsigned at = lz4hc_next(workspace, part.begin); at <= part.last_start;) {
    const unsigned back = at - before - 1;
    const unsigned work_most =
        std::min(kLz4HcWorkPerStart, kLz4HcWorkLeast + work_left / kLz4HcWorkShare);
    Lz4HcPlace place{at, back, 0, part.match_end};
    Lz4HcFound found;
    if (const std::uint32_t bytes = load_u32(page + at); bytes == std::rotl(bytes, 8))
        [[unlikely]] {
      const std::byte* const second = page + at + kMinMatch;
      place.shift =
          static_cast<unsigned>(lz4_match_length(second, second - 1, page + part.match_end));
      // The run itself is a match of offset 1.
      if (at > 0 && page[at - 1] == page[at]) {
        lz4hc_note(place, kMinMatch + place.shift, lz4hc_behind(page, at, at - 1, back),
                   at - 1 + place.shift, found);
      }
    }
    lz4hc_look(page, workspace.previous, place, work_most, found);
    work_done += found.work;
    work_left -= std::min(found.work, work_left);
    before = at;
    unsigned next = at + 1;
    if (const unsigned longest = found.length(Lz4HcFound::kAll); longest >= kMinMatch) {
      const auto offset = [&](std::uint32_t key) { return at + place.shift - (key & 0xffff); };
      unsigned length = kMinMatch - 1;
      for (unsigned i = 0; i < kEarlierStarts; ++i) {
        const std::uint32_t key = found.longest[i];
        last[1] = lz4hc_match(part, at - back + i, at + (key >> 16), offset(key));
        last += key >> 16 > length;
        length = std::max(length, key >> 16);
      }
      if (longest > length) {
        const unsigned from_offset = offset(found.longest[Lz4HcFound::kAll]);
        const unsigned behind = lz4hc_behind_soon(page, at, at - from_offset, back);
        *++last = lz4hc_match(part, at - behind, at + longest, from_offset);
      }
      next = at + longest - 3;
    }
    at = lz4hc_next(workspace, next);
  }
  workspace.match_count = static_cast<unsigned>(last - workspace.parse.matches);
  workspace.work += work_done;
}
