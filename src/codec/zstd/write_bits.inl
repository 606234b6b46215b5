// SPDX-License-Identifier: MIT OR Apache-2.0
// Bits of zstd blocks as they are written: forwards, lowest first; who reads a stream from its end
// meets the last ones first. Included by isa/*.cpp inside their target region.

struct ZstdBitWriter {
  std::byte* at;
  std::uint64_t word = 0;
  unsigned bits = 0;  // in the word, below 8 after a flush
};

// Adds the lowest `count` bits of a value, all others of which are 0. At most 56 between flushes.
PLEAT_INLINE void zstd_add(ZstdBitWriter& writer, std::uint64_t value, unsigned count) noexcept {
  writer.word |= value << writer.bits;
  writer.bits += count;
}

// Adds the lowest `count` bits of a number, below 32.
PLEAT_INLINE void zstd_add_lowest(ZstdBitWriter& writer, std::uint32_t value,
                                  unsigned count) noexcept {
  zstd_add(writer, value & ((1u << count) - 1), count);
}

// Writes whole bytes. May write 8 bytes from `at` on.
PLEAT_INLINE void zstd_flush(ZstdBitWriter& writer) noexcept {
  put(writer.at, writer.word);
  writer.at += writer.bits / 8;
  writer.word >>= writer.bits & ~7u;
  writer.bits %= 8;
}

// Ends a stream, with the bit that its reader looks for; the byte behind it.
PLEAT_INLINE std::byte* zstd_close(ZstdBitWriter& writer) noexcept {
  zstd_add(writer, 1, 1);
  zstd_flush(writer);
  if (writer.bits > 0) *writer.at++ = static_cast<std::byte>(writer.word);
  return writer.at;
}
