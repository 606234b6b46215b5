// SPDX-License-Identifier: MIT OR Apache-2.0
// The literals of zstd blocks (RFC 8878, 3.1.1.3.1), included by isa/*.cpp inside their target
// region.

// Decodes `count` literals of one stream. True if these are all that the stream has.
[[gnu::noinline]] inline bool zstd_read_stream(const ZstdTable<ZstdHuffmanEntry>& table,
                                               ZstdStream stream, std::byte* to,
                                               std::size_t count) noexcept {
  const unsigned shift = 64 - table.log;
  std::byte* const end = to + count;
  while (to < end) {
    if (stream.left < 0) return false;
    std::uint64_t word = zstd_peek(stream);
    for (unsigned i = 0; i < 5 && to < end; ++i) {
      const unsigned entry = table.entries[word >> shift];
      *to++ = static_cast<std::byte>(entry >> 8);
      word <<= entry & 63;
      stream.left -= entry & 63;
    }
  }
  return stream.left == 0;
}

// Decodes literals of four streams, five at a time of each, while there are `count` of each and
// what is read lies behind `floor`; returns how many. Streams may end before that: left is below 0
// then.
PLEAT_INLINE std::size_t zstd_read_fives(const ZstdTable<ZstdHuffmanEntry>& table,
                                         const std::byte* floor, ZstdStream (&streams)[4],
                                         std::byte* to, std::size_t quarter,
                                         std::size_t count) noexcept {
  // A word has the eight bytes at `at`, shifted by what was read of them; its lowest set bit, which
  // takes the place of one that is read next time, tells how far. It has enough for five.
  static_assert(5 * kZstdHuffmanLogMax + 7 < 63);
  const std::byte* at[4];
  std::uint64_t words[4];
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t bytes = (static_cast<std::size_t>(streams[i].left) + 7) / 8;
    at[i] = streams[i].begin + bytes - 8;
    if (at[i] < floor) return 0;
    words[i] = (load_u64(at[i]) | 1) << (bytes * 8 - static_cast<std::size_t>(streams[i].left));
  }
  const unsigned shift = 64 - table.log;
  const ZstdHuffmanEntry* const entries = table.entries;
  const std::byte* const low = floor + 7;
  std::size_t done = 0;
  while (done + 5 <= count) {
#pragma GCC unroll 5
    for (std::size_t k = 0; k < 5; ++k) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < 4; ++i) {
        const unsigned entry = entries[words[i] >> shift];
        to[i * quarter + done + k] = static_cast<std::byte>(entry >> 8);
        words[i] <<= entry & 63;
      }
    }
    done += 5;
    if (at[0] < low || at[1] < low || at[2] < low || at[3] < low) break;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const auto read = static_cast<unsigned>(std::countr_zero(words[i]));
      at[i] -= read / 8;
      words[i] = (load_u64(at[i]) | 1) << read % 8;
    }
  }
  for (std::size_t i = 0; i < 4; ++i) {
    streams[i].left = (at[i] + 8 - streams[i].begin) * 8 - std::countr_zero(words[i]);
  }
  return done;
}

// The same of four streams, the first three of which have as many literals each.
[[gnu::noinline]] inline bool zstd_read_four_streams(const ZstdTable<ZstdHuffmanEntry>& table,
                                                     const std::byte* floor,
                                                     std::span<const std::byte> src, std::byte* to,
                                                     std::size_t count) noexcept {
  constexpr std::size_t kJumpBytes = 6;
  if (src.size() < kJumpBytes || count < kZstdFourStreamsMin) return false;
  const std::size_t quarter = (count + 3) / 4;
  if (3 * quarter > count) return false;
  ZstdStream streams[4];
  std::size_t at = kJumpBytes;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t rest = src.size() - at;
    const std::size_t bytes = i < 3 ? load_u16(src.data() + 2 * i) : rest;
    if (bytes > rest || !zstd_open_stream(floor, src.subspan(at, bytes), streams[i])) return false;
    at += bytes;
  }
  const std::size_t last = count - 3 * quarter;
  std::size_t done = zstd_read_fives(table, floor, streams, to, quarter, last);
  for (; done < quarter; ++done) {
    for (std::size_t i = 0; i < (done < last ? 4 : 3); ++i) {
      if (streams[i].left < 0) return false;
      const unsigned entry = table.entries[zstd_peek(streams[i]) >> (64 - table.log)];
      to[i * quarter + done] = static_cast<std::byte>(entry >> 8);
      streams[i].left -= entry & 63;
    }
  }
  return (streams[0].left | streams[1].left | streams[2].left | streams[3].left) == 0;
}

// Reads the section of literals and returns the bytes that it takes, 0 where it is none. The
// literals are in the decoder's memory or in `src`, with kZstdLiteralSlack readable bytes behind.
PLEAT_INLINE std::size_t zstd_read_literals(ZstdDecoder& decoder, const std::byte* floor,
                                            std::span<const std::byte> src,
                                            std::span<const std::byte>& literals) noexcept {
  if (src.empty()) return 0;
  const auto kind = static_cast<ZstdLiterals>(static_cast<unsigned>(src[0]) & 3);
  const unsigned size_format = static_cast<unsigned>(src[0]) >> 2 & 3;
  const bool is_coded = kind == ZstdLiterals::kHuffman || kind == ZstdLiterals::kTreeless;
  constexpr std::size_t kPlainHeader[4] = {1, 2, 1, 3};
  constexpr std::size_t kCodedHeader[4] = {3, 3, 4, 5};
  const std::size_t header = is_coded ? kCodedHeader[size_format] : kPlainHeader[size_format];
  if (header > src.size()) return 0;
  const std::uint64_t word = src.size() >= 8
                                 ? load_u64(src.data()) & ((std::uint64_t{1} << 8 * header) - 1)
                                 : zstd_bytes(src.data(), header);

  if (!is_coded) {
    const std::size_t count = word >> (header == 1 ? 3 : 4);
    if (count > kZstdBytesMax) return 0;
    const std::size_t bytes = kind == ZstdLiterals::kRle ? 1 : count;
    const std::size_t rest = src.size() - header;
    if (bytes > rest) return 0;
    const std::byte* const from = src.data() + header;
    literals = {decoder.literals, count};
    if (kind == ZstdLiterals::kRle) {
      std::memset(decoder.literals, static_cast<int>(*from), count);
    } else if (rest - bytes >= kZstdLiteralSlack) {
      literals = {from, count};
    } else {
      std::memcpy(decoder.literals, from, count);
    }
    return header + bytes;
  }

  const unsigned bits = size_format < 2 ? 10 : size_format == 2 ? 14 : 18;
  const std::uint64_t mask = (std::uint64_t{1} << bits) - 1;
  const std::size_t count = word >> 4 & mask;
  const std::size_t bytes = word >> (4 + bits) & mask;
  if (count > kZstdBytesMax || bytes > src.size() - header) return 0;
  std::span<const std::byte> rest = src.subspan(header, bytes);
  ZstdTable<ZstdHuffmanEntry>& table = decoder.state.huffman;
  if (kind == ZstdLiterals::kHuffman) {
    const std::size_t tree = zstd_read_huffman(rest, decoder.memory.huffman, table);
    if (tree == 0) {
      table = {};
      return 0;
    }
    rest = rest.subspan(tree);
  }
  if (table.entries == nullptr) return 0;
  literals = {decoder.literals, count};
  if (size_format == 0) {
    ZstdStream stream;
    if (!zstd_open_stream(floor, rest, stream) ||
        !zstd_read_stream(table, stream, decoder.literals, count)) {
      return 0;
    }
  } else if (!zstd_read_four_streams(table, floor, rest, decoder.literals, count)) {
    return 0;
  }
  return header + bytes;
}
