// SPDX-License-Identifier: MIT OR Apache-2.0
// Canned tables, to and from a dictionary. Included by isa/scalar.cpp inside its target region,
// since they are made once.

// Reads one kind's table for writing. False where it is none that pages can be written by; `src`
// begins behind it else.
template <std::size_t kCodes>
PLEAT_INLINE bool zstd_read_canned_table(std::span<const std::byte>& src, std::size_t page_codes,
                                         unsigned log_max,
                                         ZstdCannedTable<kCodes>& canned) noexcept {
  ZstdDistribution distribution;
  const std::size_t bytes = zstd_read_distribution(src, kCodes, log_max, distribution);
  if (bytes == 0 || distribution.symbols < page_codes) return false;
  src = src.subspan(bytes);
  std::fill(std::begin(canned.costs), std::end(canned.costs), std::uint16_t{0});
  for (std::size_t code = 0; code < distribution.symbols; ++code) {
    const std::size_t states =
        distribution.counts[code] < 0 ? 1 : static_cast<std::size_t>(distribution.counts[code]);
    if (states == 0 && code < page_codes) return false;
    canned.costs[code] =
        static_cast<std::uint16_t>(distribution.log * 256 - kZstdLogarithms.of[states]);
  }
  zstd_build_write_table(distribution.counts, distribution.symbols, distribution.log, canned.table);
  return true;
}

// `src` begins with a dictionary's tables, which are sound.
PLEAT_INLINE bool zstd_read_canned(std::span<const std::byte> src,
                                   ZstdCannedTables& canned) noexcept {
  ZstdHuffmanEntry entries[1 << kZstdHuffmanLogMax];
  ZstdTable<ZstdHuffmanEntry> huffman;
  src = src.subspan(zstd_read_huffman(src, entries, huffman));
  ZstdHuffmanLengths lengths = {};
  lengths.used = 256;
  for (std::size_t i = 0; i < std::size_t{1} << huffman.log; ++i) {
    lengths.bits[entries[i] >> 8] = static_cast<std::uint8_t>(entries[i]);
  }
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    if (lengths.bits[symbol] == 0) return false;
    lengths.symbols[symbol] = static_cast<std::uint8_t>(symbol);
  }
  (void)zstd_huffman_codes(lengths, canned.huffman);
  return zstd_read_canned_table(src, kZstdPageOffsetCodes, kZstdWriteOffsetLogMax,
                                canned.offsets) &&
         zstd_read_canned_table(src, kZstdPageMatchLengthCodes, kZstdWriteLogMax,
                                canned.match_lengths) &&
         zstd_read_canned_table(src, kZstdPageLiteralLengthCodes, kZstdWriteLogMax,
                                canned.literal_lengths);
}

// Describes tables as a dictionary does; the bytes, or 0 where the code's description is too long.
PLEAT_INLINE std::size_t zstd_write_shapes(const ZstdShapes& shapes, std::byte* dst) noexcept {
  ZstdHuffmanLengths lengths = {};
  lengths.used = 256;
  unsigned log = 0;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    lengths.symbols[symbol] = static_cast<std::uint8_t>(symbol);
    lengths.bits[symbol] = shapes.huffman_bits[symbol];
    log = std::max(log, unsigned{lengths.bits[symbol]});
  }
  const std::size_t tree = zstd_write_huffman(lengths, log, dst);
  if (tree == 0) return 0;
  std::byte* at = dst + tree;
  at += zstd_write_distribution(shapes.offsets, std::size(shapes.offsets), kZstdWriteOffsetLogMax,
                                at);
  at += zstd_write_distribution(shapes.match_lengths, std::size(shapes.match_lengths),
                                kZstdWriteLogMax, at);
  at += zstd_write_distribution(shapes.literal_lengths, std::size(shapes.literal_lengths),
                                kZstdWriteLogMax, at);
  return static_cast<std::size_t>(at - dst);
}
