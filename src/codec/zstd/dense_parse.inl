// SPDX-License-Identifier: MIT OR Apache-2.0
// The cheapest parse of a page or a group over the matches found, by given prices; the end of
// zstd's dense levels. Included by isa/*.cpp inside their target region, behind zstd_relax().
//
// From the content's start on, each position knows the cheapest way to it, which is a literal or a
// match more than the way to an earlier one. What the way leaves, the three last offsets and the
// literals since the last match, decides on what further steps cost; so of ways that cost the same
// but leave different things one is chosen blindly, as is usual.

// What the way to `at` leaves.
PLEAT_INLINE ZstdStop zstd_stop(const ZstdStop* stops, std::size_t at,
                                std::uint32_t step) noexcept {
  ZstdStop stop;
  if (step == 0) {
    stop = stops[at - 1];
    ++stop.literals;
    return stop;
  }
  const auto [first, second, third] = stops[at - (step & 0xffff)].repeats;
  const auto offset = static_cast<std::uint16_t>(step >> 16);
  stop.literals = 0;
  stop.repeats[0] = offset;
  stop.repeats[1] = offset == first ? second : first;
  stop.repeats[2] = offset == first || offset == second ? third : second;
  return stop;
}

// Tries each step from `at`, to which the cheapest way is known; the length of the longest match.
template <std::size_t kBytes>
PLEAT_INLINE std::size_t zstd_try_steps(const std::byte* content, std::size_t at,
                                        const ZstdStop& stop,
                                        ZstdDenseEncoderOf<kBytes>& encoder) noexcept {
  const ZstdPrices<kBytes>& prices = encoder.prices;
  std::uint32_t* const costs = encoder.costs + at;
  std::uint32_t* const steps = encoder.steps + at;
  const auto literals = [&prices](std::uint32_t count) {
    return prices.literal_lengths[zstd_literal_length_code(count)];
  };
  const std::uint32_t with_literal = *costs +
                                     prices.literals[static_cast<std::size_t>(content[at])] +
                                     literals(stop.literals + 1u) - literals(stop.literals);
  if (with_literal <= costs[1]) {
    costs[1] = with_literal;
    steps[1] = 0;
  }
  // Four bytes are looked at.
  if (at + 4 > kBytes) return 0;
  // A match ends the literals before it, and begins a run of none.
  const std::uint32_t base = *costs + prices.literal_lengths[0];
  const std::byte* const end = content + kBytes;
  const std::uint32_t word = load_u32(content + at);
  const bool has_literals = stop.literals != 0;
  const auto [first, second, third] = stop.repeats;
  const std::uint32_t repeats[3] = {
      has_literals ? first : second,
      has_literals ? second : third,
      has_literals ? third : first - 1u,
  };
  std::size_t longest = kZstdDenseMinMatch - 1;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::uint32_t offset = repeats[i];
    // An offset of 0 is none.
    if (offset - 1 >= at || (load_u32(content + at - offset) ^ word) << 8 != 0) continue;
    const std::size_t length = lz4_match_length(content + at, content + at - offset, end);
    if (length <= longest) continue;
    longest = length;
    zstd_relax(prices.match_lengths, kZstdDenseMinMatch, length,
               base + prices.offsets[i == 0 ? 0 : 1], offset, costs, steps);
  }
  std::size_t shortest = kZstdDenseMinMatch;
  for (std::uint32_t i = encoder.begins[at]; i < encoder.begins[at + 1]; ++i) {
    const ZstdMatch match = encoder.matches[i];
    const auto code = static_cast<std::size_t>(std::bit_width(match.offset + 3u)) - 1;
    zstd_relax(prices.match_lengths, shortest, match.length, base + prices.offsets[code],
               match.offset, costs, steps);
    shortest = match.length + 1u;
  }
  return std::max(longest, shortest - 1);
}

// Fills encoder.sequences and encoder.literals.
template <std::size_t kBytes>
PLEAT_INLINE ZstdFound zstd_parse(const std::byte* content, const ZstdDenseLevel& level,
                                  ZstdDenseEncoderOf<kBytes>& encoder) noexcept {
  // More than any way takes, of either sign.
  std::memset(encoder.costs, 0x7f, sizeof(encoder.costs));
  encoder.costs[0] = encoder.prices.literal_lengths[0];
  encoder.stops[0] = {0, {kZstdRepeatOffsets[0], kZstdRepeatOffsets[1], kZstdRepeatOffsets[2]}};
  for (std::size_t at = 0; at < kBytes;) {
    if (at > 0) encoder.stops[at] = zstd_stop(encoder.stops, at, encoder.steps[at]);
    const std::size_t longest = zstd_try_steps(content, at, encoder.stops[at], encoder);
    at += longest >= level.long_enough ? longest : 1;
  }
  // The ends of its matches, from the last one on, in the place of costs, which are of no use now.
  std::uint32_t* const ends = encoder.costs;
  std::size_t count = 0;
  for (std::size_t at = kBytes; at > 0;) {
    const std::uint32_t step = encoder.steps[at];
    if (step != 0) ends[count++] = static_cast<std::uint32_t>(at);
    at -= std::max(step & 0xffff, 1u);
  }
  const std::byte* const end = content + kBytes;
  ZstdTeller teller = zstd_teller(encoder, content);
  while (count > 0) {
    const std::size_t at = ends[--count];
    const std::uint32_t step = encoder.steps[at];
    const std::size_t length = step & 0xffff;
    zstd_tell(teller, content + at - length, step >> 16, length, end);
  }
  return zstd_tell_rest(teller, encoder, end);
}

// Parses by each seed's prices, and again by what that came to; the shortest block is at dst then.
// Its size, or 0 where there is none that fits.
template <std::size_t kBytes>
PLEAT_INLINE std::size_t zstd_write_dense(const std::byte* content, std::byte* dst,
                                          std::size_t capacity, const ZstdDenseLevel& level,
                                          ZstdDenseEncoderOf<kBytes>& encoder) noexcept {
  zstd_search(content, level, encoder);
  std::size_t shortest = 0;
  for (unsigned seed = 0; seed < level.seeds; ++seed) {
    zstd_price_by_seed(kZstdDenseSeeds[seed], encoder.prices);
    for (unsigned pass = 1;; ++pass) {
      const ZstdFound found = zstd_parse(content, level, encoder);
      const std::size_t size = zstd_write_found(found, 1, encoder);
      if (size != 0 && size <= capacity && (shortest == 0 || size < shortest)) {
        std::memcpy(dst, encoder.block, size);
        shortest = size;
      }
      if (pass == level.passes) break;
      const auto kind = static_cast<ZstdLiterals>(static_cast<unsigned>(encoder.block[0]) & 3);
      zstd_price_by_parse(found, kind == ZstdLiterals::kRaw, encoder);
    }
  }
  return shortest;
}

std::size_t zstd_compress_dense(const std::byte* page, std::byte* dst, std::size_t capacity,
                                unsigned level, ZstdDenseEncoder& encoder) noexcept {
  return zstd_write_dense(page, dst, capacity, kZstdDense[level - 1], encoder);
}

std::size_t zstd_compress_dense_group(const std::byte* group, std::byte* dst, std::size_t capacity,
                                      unsigned level, ZstdDenseGroupEncoder& encoder) noexcept {
  return zstd_write_dense(group, dst, capacity, kZstdDense[level - 1], encoder);
}
