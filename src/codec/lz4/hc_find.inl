// SPDX-License-Identifier: MIT OR Apache-2.0
// The matches of a page that its cheapest parse may use, included by isa/*.cpp behind block.inl.
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

// Four starts are kept apart where a match reaches back. A match that starts later than three bytes
// behind the start of another, which ends earlier, is worth no more than its part behind that end:
// it would save no literal.
constexpr unsigned kEarlierStarts = 4;

// What is known of the matches over one position.
struct Lz4HcFound {
  unsigned length = kMinMatch - 1;  // of the longest that starts here or before
  unsigned from = 0;
  // The longest that start the given number of bytes behind the first start that matters: its
  // length from the position on, times 65536, and where it is from.
  std::uint32_t earlier[kEarlierStarts] = {};
  bool reaches_back = false;
};

// Looks at the candidates for the position `at`. Positions up to `back` before it may start a match
// too. Returns the work done.
template <unsigned kPages>
PLEAT_INLINE unsigned lz4hc_look(const std::byte* page,
                                 const Lz4HcBlockWorkspace<kPages>& workspace,
                                 const Lz4HcPart& part, unsigned at, unsigned back,
                                 unsigned work_most, Lz4HcFound& found) noexcept {
  const std::uint32_t bytes = load_u32(page + at);
  // In a run, what a candidate's run is longer or shorter by matters: they are aligned by their
  // ends. The run itself is a match of offset 1.
  int shift = 0;
  if (bytes == std::rotl(bytes, 8)) [[unlikely]] {
    const std::byte* const behind = page + at + kMinMatch;
    shift = static_cast<int>(lz4_match_length(behind, behind - 1, page + part.match_end));
    if (at > 0 && page[at - 1] == page[at]) {
      found.length = static_cast<unsigned>(shift) + kMinMatch;
      found.from = at - 1;
    }
  }
  // The first start from which a match counts as reaching back, and the eight bytes there, or those
  // up to the four at `at`.
  const unsigned distance = back > kEarlierStarts ? back + 1 - kEarlierStarts : back != 0;
  const unsigned may_be_earlier = distance != 0;
  const std::uint64_t first_bytes = load_u64(page + at - distance);
  const std::uint64_t first_mask =
      distance >= 4 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * (distance + 4)) - 1;
  // The longest match from the earliest start: what is not longer is worth nothing beside it.
  unsigned covered = kMinMatch - 1;
  std::uint32_t covered_bytes = bytes;
  std::uint32_t last_bytes = load_u32(page + at + found.length - 3);
  unsigned work = 0;
  for (int link = workspace.previous[at]; link >= shift && work < work_most;
       link = workspace.previous[link]) {
    ++work;
    const auto from = static_cast<unsigned>(link - shift);
    // Branches on each of these would be mispredicted; the one on all of them mostly is not taken.
    const unsigned longer = load_u32(page + from + found.length - 3) == last_bytes;
    const unsigned inside = from >= distance;
    const unsigned first = inside != 0 ? from - distance : 0;
    const unsigned begins = ((load_u64(page + first) ^ first_bytes) & first_mask) == 0;
    const unsigned further = load_u32(page + from + covered - 3) == covered_bytes;
    const unsigned earlier = begins & further & inside & may_be_earlier;
    if ((longer | earlier) == 0) [[likely]]
      continue;
    if (load_u32(page + from) != bytes) [[unlikely]]
      continue;
    const unsigned length = lz4hc_ahead(page, at, from, part);
    work += length / 32;
    if (earlier != 0) {
      const unsigned behind = lz4hc_behind(page, at, from, back);
      work += behind / 32;
      if (behind >= distance) {
        std::uint32_t& longest = found.earlier[back - behind];
        longest = std::max(longest, length << 16 | from);
        found.reaches_back = true;
        if (behind == back && length > covered) {
          covered = length;
          covered_bytes = load_u32(page + at + length - 3);
        }
      }
    }
    if (length > found.length) {
      found.length = length;
      found.from = from;
      if (length > kLz4HcLongEnough) break;
      last_bytes = load_u32(page + at + length - 3);
    }
  }
  return work;
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
    Lz4HcFound found;
    const unsigned work = lz4hc_look(page, workspace, part, at, back, work_most, found);
    work_done += work;
    work_left -= std::min(work, work_left);
    before = at;
    unsigned next = at + 1;
    if (found.length >= kMinMatch) {
      unsigned length = 0;
      for (unsigned i = 0; found.reaches_back && i < kEarlierStarts; ++i) {
        if (found.earlier[i] >> 16 <= length) continue;
        length = found.earlier[i] >> 16;
        *++last = lz4hc_match(part, at - back + i, at + length, at - (found.earlier[i] & 0xffff));
      }
      if (found.length > length) {
        const unsigned behind = lz4hc_behind(page, at, found.from, back);
        *++last = lz4hc_match(part, at - behind, at + found.length, at - found.from);
      }
      next = at + found.length - 3;
    }
    at = lz4hc_next(workspace, next);
  }
  workspace.match_count = static_cast<unsigned>(last - workspace.parse.matches);
  workspace.work += work_done;
}
