// SPDX-License-Identifier: MIT OR Apache-2.0
// Copies of matches, for the decompressors of LZ4 and zstd blocks, included by isa/*.cpp inside
// their target region after the tier's Block primitives.

// Copies a match of `length` bytes from `offset` bytes before `out`, which may overlap itself. May
// write up to 32 bytes behind it.
PLEAT_INLINE void copy_match_wide(std::byte* out, std::size_t offset, std::size_t length) noexcept {
  const std::byte* match = out - offset;
  std::byte* const end = out + length;
  if (offset >= 32) {
    do {
      std::memcpy(out, match, 32);
      out += 32;
      match += 32;
    } while (out < end);
    return;
  }
  if (offset >= sizeof(Block)) {
    do {
      block_store(out, block_load(match));
      out += sizeof(Block);
      match += sizeof(Block);
    } while (out < end);
    return;
  }
  const Block pattern = block_repeat(match, offset);
  const std::size_t step = block_repeat_step(offset);
  do {
    block_store(out, pattern);
    out += step;
  } while (out < end);
}

// The same, but writes nothing behind the match.
PLEAT_INLINE void copy_match_exact(std::byte* out, std::size_t offset,
                                   std::size_t length) noexcept {
  std::byte* const end = out + length;
  if (length >= 64) {
    copy_match_wide(out, offset, length - 32);
    out += length - 32;
  }
  if (offset >= 8) {
    while (end - out >= 8) {
      put(out, load_u64(out - offset));
      out += 8;
    }
    if (length >= 8) {
      put(end - 8, load_u64(end - 8 - offset));
      return;
    }
  }
  for (; out < end; ++out) *out = *(out - offset);
}
