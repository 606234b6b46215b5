// SPDX-License-Identifier: MIT OR Apache-2.0
// Blocks of the zstd format (RFC 8878, 3.1.1.3), included by isa/*.cpp inside their target region
// after the tier's Block primitives, lz4/copy_match.inl and one of repeats_*.inl. The parts use
// each other in this order.
#include "codec/zstd/read_bits.inl"

#include "codec/zstd/read_tables.inl"

#include "codec/zstd/read_literals.inl"
#include "codec/zstd/read_sequences.inl"

// Decodes the content of one compressed block. True if it is well-formed, `size` bytes long and
// fits in the output. Reads nothing outside src[0, size), the output before output.at and the
// dictionary; writes nothing outside the output.
bool zstd_decompress_block(ZstdDecoder& decoder, const std::byte* src, std::size_t size,
                           ZstdOutput& output) noexcept {
  // The block is read at many places, and from its end. Waiting for these one by one took 6 % of
  // the time, and for the lines that are written another 6 %.
  prefetch_second_level(src, size);
  prefetch_second_level(output.at,
                        std::min(static_cast<std::size_t>(output.end - output.at), kPageSize));
  std::span<const std::byte> rest = {src, size};
  std::span<const std::byte> literals;
  const std::size_t literal_bytes = zstd_read_literals(decoder, src, rest, literals);
  if (literal_bytes == 0) return false;
  rest = rest.subspan(literal_bytes);

  if (rest.empty()) return false;
  const auto first = static_cast<std::size_t>(rest[0]);
  std::size_t header = first < 128 ? 1 : first < 255 ? 2 : 3;
  if (header > rest.size()) return false;
  std::size_t count = first;
  if (header == 2) count = (first - 128) * 256 + static_cast<std::size_t>(rest[1]);
  if (header == 3) count = load_u16(rest.data() + 1) + std::size_t{0x7f00};
  // Their number's longer forms are for more than none.
  if (count == 0) return rest.size() == 1 && zstd_put_literals(literals, output);
  if (header == rest.size()) return false;
  const auto modes = static_cast<unsigned>(rest[header++]);
  if ((modes & 3) != 0) return false;
  const std::size_t tables = zstd_read_sequence_tables(decoder, modes, rest.subspan(header));
  if (tables == SIZE_MAX) return false;
  ZstdStream stream;
  return zstd_open_stream(src, rest.subspan(header + tables), stream) &&
         zstd_run_sequences(decoder, stream, count, literals, output);
}
