// SPDX-License-Identifier: MIT OR Apache-2.0
// Bits of zstd blocks: those that are read forwards, in the descriptions of tables, and those that
// are read from their end. Included by isa/*.cpp inside their target region.

// The number that `count` bytes are, 1 to 8. Its own function, as others are that are seldom called
// or at several places: the compiler gives the rest more registers, and less memory to fetch.
[[gnu::noinline]] inline std::uint64_t zstd_bytes(const std::byte* from,
                                                  std::size_t count) noexcept {
  std::uint64_t word = 0;
  while (count > 0) word = word << 8 | static_cast<std::uint64_t>(from[--count]);
  return word;
}

// Forwards: up to 25 bits from bit `at` on. Bits behind the end are zeros.
PLEAT_INLINE std::uint32_t zstd_bits_at(std::span<const std::byte> bytes, std::size_t at) noexcept {
  const std::size_t first = at / 8;
  if (first + 4 <= bytes.size()) return load_u32(bytes.data() + first) >> at % 8;
  if (first >= bytes.size()) return 0;
  const std::uint64_t word = zstd_bytes(bytes.data() + first, bytes.size() - first);
  return static_cast<std::uint32_t>(word) >> at % 8;
}

// A stream that is read from its end. Its last byte's highest set bit is not part of it.
struct ZstdStream {
  const std::byte* floor;  // nothing before it may be read
  const std::byte* begin;
  std::ptrdiff_t left;  // bits that were not read yet; below 0 more were read than there are
};

// False where there is no end of a stream.
PLEAT_INLINE bool zstd_open_stream(const std::byte* floor, std::span<const std::byte> bytes,
                                   ZstdStream& stream) noexcept {
  if (bytes.empty() || bytes.back() == std::byte{0}) return false;
  const auto last = static_cast<unsigned>(bytes.back());
  stream = {floor, bytes.data(),
            static_cast<std::ptrdiff_t>(bytes.size() * 8) - 9 + std::bit_width(last)};
  return true;
}

// The next bits, highest first: 57 at least, of which those behind the stream's beginning are
// anything. Precondition: left >= 0.
PLEAT_INLINE std::uint64_t zstd_peek(const ZstdStream& stream) noexcept {
  const std::size_t bytes = (static_cast<std::size_t>(stream.left) + 7) / 8;
  const std::size_t unused = bytes * 8 - static_cast<std::size_t>(stream.left);
  const std::byte* const end = stream.begin + bytes;
  if (end - stream.floor >= 8) [[likely]]
    return load_u64(end - 8) << unused;
  const auto there = static_cast<std::size_t>(end - stream.floor);
  return there == 0 ? 0 : zstd_bytes(stream.floor, there) << (64 - there * 8) << unused;
}

// The same where at least 56 bits are left, which are all that may be used.
PLEAT_INLINE std::uint64_t zstd_peek_inside(const ZstdStream& stream) noexcept {
  return load_u64(stream.begin + (stream.left >> 3) - 7) << (8 - (stream.left & 7));
}

// The highest `count` bits of a word, 0 to 63.
PLEAT_INLINE std::uint64_t zstd_top(std::uint64_t word, unsigned count) noexcept {
  return word >> 1 >> (~count & 63);
}

// Reads up to 32 bits. Where there are not so many, left is below 0, and the value is anything.
PLEAT_INLINE std::uint32_t zstd_read(ZstdStream& stream, unsigned count) noexcept {
  if (stream.left < 0) return 0;
  const std::uint64_t word = zstd_peek(stream);
  stream.left -= count;
  return static_cast<std::uint32_t>(zstd_top(word, count));
}
