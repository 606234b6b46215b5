// SPDX-License-Identifier: MIT OR Apache-2.0
// What every LZ4 compressor does with a match: measure it, and write its sequence. Included by
// isa/*.cpp inside their target region.

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

// The length bytes of 255: few lengths have any.
[[gnu::noinline]] std::byte* lz4_put_full_length_bytes(std::byte* out, std::size_t rest) noexcept {
  const std::size_t count = rest / 255;
  std::memset(out, 255, count);
  return out + count;
}

// Writes what of a length exceeds the token's 15: bytes of 255 and one below it.
PLEAT_INLINE std::byte* lz4_put_length(std::byte* out, std::size_t rest) noexcept {
  if (rest >= 255) [[unlikely]] {
    out = lz4_put_full_length_bytes(out, rest);
    rest %= 255;
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
