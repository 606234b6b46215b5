// SPDX-License-Identifier: MIT OR Apache-2.0
// The LZ4 compressor for a page or a group, included by isa/scalar.cpp behind block.inl: compiled
// for other tiers it gains nothing.
//
// A greedy parse with one hash table of positions. What differs from the common greedy compressor,
// since a page is small and its words are often 8 bytes wide: the hash covers 5 to 8 bytes (a false
// or a 4-byte match costs more than it saves), the offset of the last match is tried first (records
// of one size repeat it), and but at the two fastest levels a match is not extended backwards.
// `pleat bench codec` measures it.

// What a level looks for.
struct Lz4Search {
  unsigned hash_bytes;
  std::size_t step;     // matches begin at multiples of this, but for what they gain backwards
  unsigned skip_shift;  // a step grows by `step` for each 2^skip_shift positions without a match
  bool backwards;       // whether a match is extended backwards
};
inline constexpr Lz4Search kLz4Searches[kLz4Levels + 1] = {
    {},
    {.hash_bytes = 8, .step = 2, .skip_shift = 2, .backwards = true},
    {.hash_bytes = 7, .step = 2, .skip_shift = 4, .backwards = true},
    {.hash_bytes = 6, .step = 1, .skip_shift = 2, .backwards = false},
    {.hash_bytes = 6, .step = 1, .skip_shift = 4, .backwards = false},
    {.hash_bytes = 5, .step = 1, .skip_shift = 6, .backwards = false}};

// A multiplicative hash of some bytes: the constant is 2^64 divided by the golden ratio, made odd;
// the shift drops the bytes that do not take part.
template <unsigned kHashBytes>
PLEAT_INLINE std::uint32_t lz4_hash(std::uint64_t bytes) noexcept {
  return static_cast<std::uint32_t>(((bytes << (64 - 8 * kHashBytes)) * 0x9E3779B97F4A7C15ull) >>
                                    (64 - kLz4HashBits));
}

template <unsigned kLevel, std::size_t kBytes>
PLEAT_INLINE std::size_t lz4_compress_level(const std::byte* page, std::byte* dst,
                                            std::size_t capacity,
                                            Lz4BlockWorkspace<kBytes>& workspace) noexcept {
  constexpr Lz4Search kSearch = kLz4Searches[kLevel];
  constexpr auto kHash = lz4_hash<kSearch.hash_bytes>;
  const auto is_match = [](const std::byte* a, const std::byte* b) {
    return load_u32(a) == load_u32(b);
  };
  const std::byte* const page_end = page + kBytes;
  const std::byte* const match_end = page_end - kLastLiterals;
  const std::byte* const last_match_start = page_end - kMatchStartMargin;
  std::uint16_t* const positions = workspace.positions;
  std::byte* out = workspace.block;
  constexpr std::size_t kBound = lz4_bound(kBytes);
  const std::byte* const out_limit = out + (capacity < kBound ? capacity : kBound);

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
      if (is_match(at - repeat, at)) {
        match = at - repeat;
        break;
      }
      if (is_match(match, at)) break;
    }
    for (;;) {
      std::size_t length =
          kMinMatch + lz4_match_length(at + kMinMatch, match + kMinMatch, match_end);
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
      if (!is_match(match, at)) break;
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

std::size_t lz4_compress(const std::byte* page, std::byte* dst, std::size_t capacity,
                         unsigned level, Lz4Workspace& workspace) noexcept {
  switch (level) {
    case 1:
      return lz4_compress_level<1, kPageSize>(page, dst, capacity, workspace);
    case 2:
      return lz4_compress_level<2, kPageSize>(page, dst, capacity, workspace);
    case 3:
      return lz4_compress_level<3, kPageSize>(page, dst, capacity, workspace);
    case 4:
      return lz4_compress_level<4, kPageSize>(page, dst, capacity, workspace);
    default:
      return lz4_compress_level<5, kPageSize>(page, dst, capacity, workspace);
  }
}

std::size_t lz4_compress_group(const std::byte* group, std::byte* dst, std::size_t capacity,
                               Lz4GroupWorkspace& workspace) noexcept {
  return lz4_compress_level<kLz4Levels, kGroupBytes>(group, dst, capacity, workspace);
}
