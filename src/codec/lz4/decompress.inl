// SPDX-License-Identifier: MIT OR Apache-2.0
// The LZ4 decompressor for a page or a group, included by isa/*.cpp inside their target region.
//
// Two loops over sequences: a fast one while input and output leave room for copies of fixed size
// (the slack is stated at its head), and an exact one for the rest, which is where the rules on the
// end of a block are checked. Both check offsets against the start of the page.

// Adds the length bytes at *in to `length`. False where the input ends within them, or where the
// length is more than kBytes (which also keeps the sum from overflowing).
template <std::size_t kBytes>
PLEAT_INLINE bool lz4_get_length(const std::byte*& in, const std::byte* in_end,
                                 std::size_t& length) noexcept {
  for (;;) {
    if (in == in_end) return false;
    const auto more = static_cast<std::size_t>(*in++);
    length += more;
    if (more != 255) return length <= kBytes;
    if (length > kBytes) return false;
  }
}

// Copies 18 bytes of a match, the longest that a token alone states. By words where the offset
// allows it: a load of 16 bytes that were stored in parts just before would wait for the stores.
PLEAT_INLINE void lz4_copy_match_short(std::byte* out, std::size_t offset) noexcept {
  if (offset >= 8) [[likely]] {
    put(out, load_u64(out - offset));
    put(out + 8, load_u64(out + 8 - offset));
    put(out + 16, load_u16(out + 16 - offset));
    return;
  }
  block_store(out, block_repeat(out - offset, offset));
  // The rest continues the first block: at a distance that is a multiple of the offset and reaches
  // back over what the rest writes.
  if constexpr (sizeof(Block) == 16) {
    put(out + 16, load_u16(out + 16 - offset - (offset == 1)));
  } else {
    const std::size_t distance = kRepeat8.distance[offset];
    put(out + 8, load_u64(out + 8 - distance));
    put(out + 16, load_u16(out + 16 - distance));
  }
}

// Ends when `wanted` bytes are there; of kBytes, when the block is known to be right as well.
template <std::size_t kBytes>
PLEAT_INLINE bool lz4_decompress_block(const std::byte* src, std::size_t size, std::byte* page,
                                       std::size_t wanted) noexcept {
  prefetch_second_level(src, size);
  prefetch_second_level(page, std::min(wanted, kPageSize));
  const std::byte* in = src;
  const std::byte* const in_end = src + size;
  std::byte* out = page;
  std::byte* const out_end = page + kBytes;
  const std::byte* const wanted_end = page + wanted;

  // A short sequence reads a token and 16 bytes: a literal copy, or 14 literals and an offset. It
  // writes 14 literals and 18 bytes of match, which then ends kLastLiterals before the page's end.
  constexpr std::size_t kInputSlack = 1 + 16;
  constexpr std::size_t kOutputSlack = 14 + 18 + kLastLiterals;
  // Long literals and matches are copied in vectors of up to 32 bytes, of which one is needed. The
  // rest of a sequence, an offset and a short match before the last literals, fits in that too.
  constexpr std::size_t kLongSlack = 32;
  static_assert(kLongSlack >= 18 + kLastLiterals);
  const std::byte* const fast_in_end = size >= kInputSlack ? in_end - kInputSlack : nullptr;
  const std::byte* const fast_out_end =
      wanted_end <= out_end - kOutputSlack ? wanted_end - 1 : out_end - kOutputSlack;
  std::size_t literal_count;
  std::size_t length;
  std::size_t offset;
  if (fast_in_end != nullptr) {
    while (in <= fast_in_end && out <= fast_out_end) {
      const auto token = static_cast<std::size_t>(*in++);
      literal_count = token >> 4;
      length = token & 15;
      if (literal_count != kLongLength) [[likely]] {
        std::memcpy(out, in, 16);
      } else {
        if (!lz4_get_length<kBytes>(in, in_end, literal_count)) return false;
        const auto in_room = static_cast<std::size_t>(in_end - in);
        const auto out_room = static_cast<std::size_t>(out_end - out);
        if (in_room < literal_count + kLongSlack || out_room < literal_count + kLongSlack) {
          goto exact_literals;
        }
        std::size_t at = 0;
        do {
          std::memcpy(out + at, in + at, 32);
          at += 32;
        } while (at < literal_count);
      }
      in += literal_count;
      out += literal_count;
      offset = load_u16(in);
      in += 2;
      if (offset - 1 >= static_cast<std::size_t>(out - page)) return false;
      if (length != kLongLength) {
        lz4_copy_match_short(out, offset);
        out += length + kMinMatch;
        continue;
      }
      if (!lz4_get_length<kBytes>(in, in_end, length)) return false;
      length += kMinMatch;
      if (static_cast<std::size_t>(out_end - out) < length + kLongSlack) {
        goto exact_match;
      }
      copy_match_wide(out, offset, length);
      out += length;
    }
  }
  for (;;) {
    // Never where all is wanted: a match leaves the last literals.
    if (out >= wanted_end) return true;
    if (in == in_end) return false;
    {
      const auto token = static_cast<std::size_t>(*in++);
      literal_count = token >> 4;
      length = token & 15;
    }
    if (literal_count == kLongLength && !lz4_get_length<kBytes>(in, in_end, literal_count))
      return false;
  exact_literals:
    if (literal_count > static_cast<std::size_t>(in_end - in)) return false;
    if (literal_count > static_cast<std::size_t>(out_end - out)) return false;
    std::memcpy(out, in, literal_count);
    in += literal_count;
    out += literal_count;
    if (in == in_end) {
      // The block may end here only, and a sequence before it has left the last literals to it; a
      // page is longer than a token's literals, so there always are some.
      return out == out_end;
    }
    if (in_end - in < 2 || out > out_end - kMatchStartMargin) return false;
    offset = load_u16(in);
    in += 2;
    if (offset - 1 >= static_cast<std::size_t>(out - page)) return false;
    if (length == kLongLength && !lz4_get_length<kBytes>(in, in_end, length)) return false;
    length += kMinMatch;
  exact_match:
    if (length + kLastLiterals > static_cast<std::size_t>(out_end - out)) return false;
    copy_match_exact(out, offset, length);
    out += length;
  }
}

bool lz4_decompress(const std::byte* src, std::size_t size, std::byte* page) noexcept {
  return lz4_decompress_block<kPageSize>(src, size, page, kPageSize);
}

bool lz4_decompress_group(const std::byte* src, std::size_t size, std::byte* group,
                          std::size_t pages) noexcept {
  return lz4_decompress_block<kGroupBytes>(src, size, group, pages * kPageSize);
}
