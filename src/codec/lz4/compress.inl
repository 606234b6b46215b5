// SPDX-License-Identifier: MIT OR Apache-2.0
// The LZ4 compressor for one page, included by isa/*.cpp inside their target region.
//
// A greedy parse with one hash table of positions. What differs from the common greedy compressor,
// since a page is small and its words are often 8 bytes wide: the hash covers 6 or 8 bytes (a false
// or a 4-byte match costs more than it saves), the offset of the last match is tried first (records
// of one size repeat it), and but for the fastest level a match is not extended backwards. `pleat
// bench codec` measures it.

// What a level looks for.
struct Lz4Search {
  unsigned hash_bytes;
  std::size_t match_min;  // the shortest match that is looked for: 4 or 8 bytes
  std::size_t step;       // matches begin at multiples of this, but for what they gain backwards
  unsigned skip_shift;    // a step grows by `step` for each 2^skip_shift positions without a match
  bool backwards;         // whether a match is extended backwards
};
inline constexpr Lz4Search kLz4Searches[kLz4Levels + 1] = {
    {},
    {.hash_bytes = 8, .match_min = 8, .step = 2, .skip_shift = 4, .backwards = true},
    {.hash_bytes = 8, .match_min = 4, .step = 1, .skip_shift = 3, .backwards = false},
    {.hash_bytes = 6, .match_min = 4, .step = 1, .skip_shift = 2, .backwards = false},
    {.hash_bytes = 6, .match_min = 4, .step = 1, .skip_shift = 4, .backwards = false}};

// A multiplicative hash of some bytes: the constant is 2^64 divided by the golden ratio, made odd;
// the shift drops the bytes that do not take part.
template <unsigned kHashBytes>
PLEAT_INLINE std::uint32_t lz4_hash(std::uint64_t bytes) noexcept {
  return static_cast<std::uint32_t>(((bytes << (64 - 8 * kHashBytes)) * 0x9E3779B97F4A7C15ull) >>
                                    (64 - kLz4HashBits));
}

template <std::size_t kBytes>
PLEAT_INLINE bool lz4_equal(const std::byte* a, const std::byte* b) noexcept {
  if constexpr (kBytes == 4) return load_u32(a) == load_u32(b);
  return load_u64(a) == load_u64(b);
}

// How many bytes at `at` and at `match`, which lies before it, are equal, up to `end`.
PLEAT_INLINE std::size_t lz4_match_length(const std::byte* at, const std::byte* match,
                                          const std::byte* end) noexcept {
  const std::byte* const start = at;
  while (at + 8 <= end) {
    const std::uint64_t difference = load_u64(at) ^ load_u64(match);
    if (difference != 0) {
      return static_cast<std::size_t>(at - start) +
             static_cast<std::size_t>(std::countr_zero(difference)) / 8;
    }
    at += 8;
    match += 8;
  }
  while (at < end && *at == *match) {
    ++at;
    ++match;
  }
  return static_cast<std::size_t>(at - start);
}

// Writes what of a length exceeds the token's 15: bytes of 255 and one below it.
PLEAT_INLINE std::byte* lz4_put_length(std::byte* out, std::size_t rest) noexcept {
  while (rest >= 255) {
    *out++ = std::byte{255};
    rest -= 255;
  }
  *out++ = static_cast<std::byte>(rest);
  return out;
}

// Writes the token's literal length and the literals. May write 32 bytes behind them.
PLEAT_INLINE std::byte* lz4_put_literals(std::byte* out, const std::byte* from, std::size_t count,
                                         const std::byte* page_end,
                                         std::size_t match_code) noexcept {
  if (count < kLongLength) {
    *out++ = static_cast<std::byte>(count << 4 | match_code);
    if (from + 16 <= page_end) [[likely]] {
      std::memcpy(out, from, 16);
    } else {
      std::memcpy(out, from, count);
    }
    return out + count;
  }
  *out++ = static_cast<std::byte>(kLongLength << 4 | match_code);
  out = lz4_put_length(out, count - kLongLength);
  if (from + ((count + 31) & ~std::size_t{31}) <= page_end) {
    for (std::size_t at = 0; at < count; at += 32) std::memcpy(out + at, from + at, 32);
  } else {
    std::memcpy(out, from, count);
  }
  return out + count;
}

template <unsigned kLevel>
PLEAT_INLINE std::size_t lz4_compress_level(const std::byte* page, std::byte* dst,
                                            std::size_t capacity,
                                            Lz4Workspace& workspace) noexcept {
  constexpr Lz4Search kSearch = kLz4Searches[kLevel];
  constexpr auto kHash = lz4_hash<kSearch.hash_bytes>;
  constexpr auto kEqual = lz4_equal<kSearch.match_min>;
  const std::byte* const page_end = page + kPageSize;
  const std::byte* const match_end = page_end - kLastLiterals;
  const std::byte* const last_match_start =
      page_end - std::max(kMatchStartMargin, kSearch.match_min + kLastLiterals);
  std::uint16_t* const positions = workspace.positions;
  std::byte* out = workspace.block;
  const std::byte* const out_limit = out + (capacity < kLz4Bound ? capacity : kLz4Bound);

  prefetch_page(page);
  prefetch_destination(dst, capacity);
  std::memset(positions, 0, sizeof(workspace.positions));
  const std::byte* literals = page;           // first byte that no sequence covers yet
  const std::byte* at = page + kSearch.step;  // position 0 is what an empty table entry means
  std::size_t repeat = kSearch.step;          // the last match's offset; at most at - page
  for (;;) {
    const std::byte* match;
    const std::byte* next = at;
    std::uint32_t next_hash = kHash(load_u64(next));
    unsigned attempts = 1u << kSearch.skip_shift;
    for (;;) {
      at = next;
      next += (attempts++ >> kSearch.skip_shift) * kSearch.step;
      if (next > last_match_start) goto last_sequence;
      const std::uint32_t hash = next_hash;
      next_hash = kHash(load_u64(next));
      match = page + positions[hash];
      positions[hash] = static_cast<std::uint16_t>(at - page);
      if (kEqual(at - repeat, at)) {
        match = at - repeat;
        break;
      }
      if (kEqual(match, at)) break;
    }
    for (;;) {
      std::size_t length =
          kSearch.match_min +
          lz4_match_length(at + kSearch.match_min, match + kSearch.match_min, match_end);
      if constexpr (kSearch.backwards) {
        while (at > literals && match > page && at[-1] == match[-1]) {
          --at;
          --match;
          ++length;
        }
      }
      const std::size_t code = length - kMinMatch;
      const std::size_t literal_count = static_cast<std::size_t>(at - literals);
      repeat = static_cast<std::size_t>(at - match);
      out = lz4_put_literals(out, literals, literal_count, page_end,
                             code < kLongLength ? code : kLongLength);
      put(out, static_cast<std::uint16_t>(repeat));
      out += 2;
      if (code >= kLongLength) out = lz4_put_length(out, code - kLongLength);
      at += length;
      literals = at;
      // Whatever follows needs at least a token and the last literals.
      if (out > out_limit) return 0;
      if constexpr (kSearch.step > 1) at += static_cast<std::size_t>(page - at) % kSearch.step;
      if (at > last_match_start) goto last_sequence;
      if constexpr (kSearch.step == 1) {
        positions[kHash(load_u64(at - 2))] = static_cast<std::uint16_t>(at - 2 - page);
      }
      // Another match often follows at once.
      const std::uint32_t hash = kHash(load_u64(at));
      match = page + positions[hash];
      positions[hash] = static_cast<std::uint16_t>(at - page);
      if (!kEqual(match, at)) break;
    }
    at += kSearch.step;
    if (at > last_match_start) break;
  }
last_sequence:
  out = lz4_put_literals(out, literals, static_cast<std::size_t>(page_end - literals), page_end, 0);
  if (out > out_limit) return 0;
  const std::size_t size = static_cast<std::size_t>(out - workspace.block);
  std::memcpy(dst, workspace.block, size);
  return size;
}

// A tier that has no gain from it leaves it to the scalar one.
[[maybe_unused]] std::size_t lz4_compress(const std::byte* page, std::byte* dst,
                                          std::size_t capacity, unsigned level,
                                          Lz4Workspace& workspace) noexcept {
  switch (level) {
    case 1:
      return lz4_compress_level<1>(page, dst, capacity, workspace);
    case 2:
      return lz4_compress_level<2>(page, dst, capacity, workspace);
    case 3:
      return lz4_compress_level<3>(page, dst, capacity, workspace);
    default:
      return lz4_compress_level<4>(page, dst, capacity, workspace);
  }
}
