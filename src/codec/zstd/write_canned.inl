// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages as zstd blocks by canned tables. Included by isa/*.cpp inside their target region behind
// write_block.inl.
//
// kMixed looks for the shortest block, as plain zstd does. kCanned takes tables of the block's own
// only where these save so much that canned ones do not suit the page, and finds that out by
// samples.

struct ZstdLiteralEstimate {
  std::size_t canned;  // bytes
  std::size_t own;
};

// What literals take, at least 64, by a canned code and by their own: of every fourth one.
PLEAT_INLINE ZstdLiteralEstimate zstd_estimate_literals(const ZstdHuffmanCode& canned,
                                                        const std::byte* literals,
                                                        std::size_t count) noexcept {
  alignas(64) std::uint16_t counts[2][256] = {};
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    ++counts[0][static_cast<std::size_t>(literals[i])];
    ++counts[1][static_cast<std::size_t>(literals[i + 4])];
  }
  const auto samples = static_cast<std::uint32_t>(count / 8 * 2);
  std::uint32_t canned_bits = 0;
  std::uint32_t own_bits = samples * zstd_log2(samples);  // in 1/256
  std::uint32_t used = 0;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    const std::uint32_t times = std::uint32_t{counts[0][symbol]} + counts[1][symbol];
    canned_bits += times * (canned.words[symbol] & 15u);
    own_bits -= times * zstd_log2(times);
    used += times != 0;
  }
  // Half a byte to describe each symbol, and some for the description's table.
  constexpr std::size_t kTableBytes = 13;
  return {canned_bits * 4 / 8 + kZstdStreamsBytes,
          own_bits * 4 / 8 / 256 + used / 2 + kTableBytes + kZstdStreamsBytes};
}

// Writes the section of literals; the byte behind it, or null where these are to be looked at in
// full.
PLEAT_INLINE std::byte* zstd_write_literals_by(const ZstdHuffmanCode& canned,
                                               const std::byte* literals, std::size_t count,
                                               std::byte* dst) noexcept {
  // So few are worth no code.
  constexpr std::size_t kTooFew = 64;
  std::byte* end = nullptr;
  if (count >= kTooFew) {
    const ZstdLiteralEstimate bytes = zstd_estimate_literals(canned, literals, count);
    const std::size_t gain = 128 + count / 6;
    if (bytes.own + gain < std::min(bytes.canned, count)) return nullptr;
    if (bytes.canned <= zstd_canned_limit(count)) {
      end = zstd_write_streams(ZstdLiterals::kTreeless, canned, 0, literals, count, dst);
    }
  }
  return end != nullptr ? end : zstd_write_plain(ZstdLiterals::kRaw, literals, count, dst);
}

std::size_t zstd_compress_canned(const std::byte* page, std::byte* dst, std::size_t capacity,
                                 ZstdTables tables, const ZstdCannedTables& canned,
                                 ZstdEncoder& encoder) noexcept {
  const bool mixes = tables == ZstdTables::kMixed;
  // Of fewer sequences no table of their own saves the bytes that it has to.
  const std::size_t few = mixes ? 1 : 64;
  const std::uint32_t table_gain = mixes ? 0 : 24;  // bytes
  const ZstdFound found = zstd_find_fast(page, encoder);
  std::byte* at = nullptr;
  if (!mixes) {
    at = zstd_write_literals_by(canned.huffman, encoder.literals, found.literals, encoder.block);
  }
  if (at == nullptr) {
    // Where there is a canned code, density is what is asked for.
    constexpr std::size_t kGain = 6;
    at = zstd_write_literals(encoder.literals, found.literals, kGain, &canned.huffman,
                             encoder.block);
  }
  if (static_cast<std::size_t>(at - encoder.block) >= kPageSize) return 0;
  if (found.sequences >= few || found.sequences == 0) {
    at = zstd_write_sequences(encoder, found.sequences, &canned, table_gain, at);
  } else {
    at = zstd_write_sequence_count(found.sequences, at);
    *at++ = zstd_modes(ZstdMode::kRepeat, ZstdMode::kRepeat, ZstdMode::kRepeat);
    zstd_code_sequences(encoder, found.sequences, [](ZstdSequenceCodes) {});
    at = zstd_write_coded_sequences(encoder, found.sequences, canned.literal_lengths.table,
                                    canned.offsets.table, canned.match_lengths.table, at);
  }
  const auto size = static_cast<std::size_t>(at - encoder.block);
  if (size > capacity || size >= kPageSize) return 0;
  std::memcpy(dst, encoder.block, size);
  return size;
}
