// SPDX-License-Identifier: MIT OR Apache-2.0
// The cheapest parse of a page over the matches found, and the block: the end of the codec lz4hc,
// included by isa/*.cpp behind hc_find.inl. Positions are those in the page.
//
// From the page's end to its start, the price of each position is the lesser of a literal more than
// the next position's and of its longest match. No shorter one is better, since a page costs no
// less from one byte earlier on; but a length of 18 is the longest that needs no length byte, so it
// is tried too. A length byte of a literal run is not counted: the parses that differ by it differ
// by a byte in a thousand.

// Prices the literals [from, to). What this and the next function write before `from`, up to
// kLz4HcLanes, is written again later.
PLEAT_INLINE void lz4hc_price_literals(Lz4HcPrices& prices, int from, int to) noexcept {
  std::uint16_t* const costs = prices.costs + kLz4HcLanes;
  std::uint16_t* const choices = prices.choices + kLz4HcLanes;
  constexpr int kLanes = kLz4HcLanes;
  unsigned cost = costs[to];
  const unsigned after = choices[to];
  for (int at = to; at > from; at -= kLanes) {
    cost += kLz4HcLanes * kByteCost;
    lz4hc_price<false>(costs + at - kLanes, choices + at - kLanes, cost, 0xffff, after, after);
  }
}

// Prices [from, to), where match number `choice` may start and reaches `end`. All of its lengths
// are 18 at most, or, with kLong, more than that.
template <bool kLong>
PLEAT_INLINE void lz4hc_price_match(Lz4HcPrices& prices, int from, int to, unsigned end,
                                    unsigned choice) noexcept {
  std::uint16_t* const costs = prices.costs + kLz4HcLanes;
  std::uint16_t* const choices = prices.choices + kLz4HcLanes;
  constexpr int kLanes = kLz4HcLanes;
  const unsigned match = costs[end] + kMatchCost;
  for (int at = to; at > from; at -= kLanes) {
    // The length bytes of the match from the last of the lanes on.
    const unsigned length = end - static_cast<unsigned>(at) + 1;
    const unsigned more = kLong ? (1 + (length - kShortMatch - 1) / 255) * kByteCost : 0;
    lz4hc_price<kLong>(costs + at - kLanes, choices + at - kLanes,
                       costs[at] + kLz4HcLanes * kByteCost, match + more, choice, choices[at]);
  }
}

template <unsigned kPages>
PLEAT_INLINE void lz4hc_price_page(Lz4HcBlockWorkspace<kPages>& workspace,
                                   unsigned last_start) noexcept {
  Lz4HcPrices& prices = workspace.parse.prices;
  for (unsigned at = last_start + 1; at <= kPageSize; ++at) {
    prices.costs[kLz4HcLanes + at] = static_cast<std::uint16_t>((kPageSize - at) * kByteCost);
    prices.choices[kLz4HcLanes + at] = 0;
  }
  int at = static_cast<int>(last_start) + 1;
  for (unsigned i = workspace.match_count; i > 0; --i) {
    const Lz4HcMatch match = workspace.parse.matches[i];
    const int end = match.end;
    const int start = match.start;
    // What the match leaves at its end for a match of less than four bytes is literals.
    if (const int last = end - 3; last < at) {
      lz4hc_price_literals(prices, last, at);
      at = last;
    }
    const int near = std::max(start, end - static_cast<int>(kShortMatch));
    if (near < at) {
      lz4hc_price_match<false>(prices, near, at, match.end, i);
      at = near;
    }
    if (start < at) {
      lz4hc_price_match<true>(prices, start, at, match.end, i);
      at = start;
    }
  }
  lz4hc_price_literals(prices, 0, at);
}

// Writes the page's sequences. *literals is the first byte of the block that no sequence covers
// yet.
template <unsigned kPages>
PLEAT_INLINE std::byte* lz4hc_put_page(const std::byte* page, const std::byte* block_end,
                                       const Lz4HcBlockWorkspace<kPages>& workspace,
                                       const std::byte** literals, std::byte* out) noexcept {
  const std::uint16_t* const costs = workspace.parse.prices.costs + kLz4HcLanes;
  const std::uint16_t* const choices = workspace.parse.prices.choices + kLz4HcLanes;
  unsigned at = 0;
  while (choices[at] != 0) {
    const Lz4HcMatch match = workspace.parse.matches[choices[at]];
    const unsigned start = std::max<unsigned>(at, match.start);
    unsigned length = match.end - start;
    if (length > kShortMatch && costs[start] == costs[start + kShortMatch] + kMatchCost) {
      length = kShortMatch;
    }
    const std::size_t code = length - kMinMatch;
    const auto literal_count = static_cast<std::size_t>(page + start - *literals);
    out = lz4_put_literals(out, *literals, literal_count, block_end, std::min(code, kLongLength));
    put(out, match.offset);
    out += 2;
    if (code >= kLongLength) out = lz4_put_length(out, code - kLongLength);
    at = start + length;
    *literals = page + at;
  }
  return out;
}

template <unsigned kPages>
PLEAT_INLINE std::size_t lz4hc_compress_block(const std::byte* block, std::byte* dst,
                                              std::size_t capacity,
                                              Lz4HcBlockWorkspace<kPages>& workspace) noexcept {
  lz4hc_chain(block, workspace);
  workspace.work = 0;
  const std::byte* const block_end = block + kPages * kPageSize;
  const std::byte* literals = block;
  std::byte* out = workspace.block;
  const auto put_part = [&](const Lz4HcPart& part) __attribute__((always_inline)) {
    lz4hc_search(block, workspace, part);
    lz4hc_price_page(workspace, part.last_start - part.begin);
    out = lz4hc_put_page(block + part.begin, block_end, workspace, &literals, out);
  };
  if constexpr (kPages == 1) {
    // Known when it is compiled.
    constexpr Lz4HcPart kWhole = lz4hc_part(0, 1);
    put_part(kWhole);
  } else {
    for (unsigned i = 0; i < kPages; ++i) put_part(lz4hc_part(i, kPages));
  }
  out =
      lz4_put_literals(out, literals, static_cast<std::size_t>(block_end - literals), block_end, 0);
  const auto size = static_cast<std::size_t>(out - workspace.block);
  if (size > capacity) return 0;
  std::memcpy(dst, workspace.block, size);
  return size;
}

std::size_t lz4hc_compress(const std::byte* page, std::byte* dst, std::size_t capacity,
                           Lz4HcWorkspace& workspace) noexcept {
  return lz4hc_compress_block<1>(page, dst, capacity, workspace);
}

std::size_t lz4hc_compress_group(const std::byte* group, std::byte* dst, std::size_t capacity,
                                 Lz4HcGroupWorkspace& workspace) noexcept {
  return lz4hc_compress_block<kGroupPages>(group, dst, capacity, workspace);
}
