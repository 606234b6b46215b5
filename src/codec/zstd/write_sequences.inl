// SPDX-License-Identifier: MIT OR Apache-2.0
// The sequences of zstd blocks as they are written (RFC 8878, 3.1.1.3.2). Included by isa/*.cpp
// inside their target region.

// The codes of small lengths.
struct ZstdLengthCodes {
  std::uint8_t literals[64] = {};
  std::uint8_t matches[128] = {};  // of the length less 3

  constexpr ZstdLengthCodes() {
    const auto fill = [](const auto& codes, std::uint32_t less, auto& of) {
      std::uint8_t code = 0;
      for (std::uint32_t length = 0; length < std::size(of); ++length) {
        while (code + 1u < codes.size() && codes[code + 1u].base <= length + less) ++code;
        of[length] = code;
      }
    };
    fill(kZstdLiteralLengths, 0, literals);
    fill(kZstdMatchLengths, 3, matches);
  }
};
constexpr ZstdLengthCodes kZstdLengthCodes;

PLEAT_INLINE std::uint8_t zstd_literal_length_code(std::uint32_t length) noexcept {
  if (length < std::size(kZstdLengthCodes.literals)) return kZstdLengthCodes.literals[length];
  return static_cast<std::uint8_t>(18 + std::bit_width(length));
}

PLEAT_INLINE std::uint8_t zstd_match_length_code(std::uint32_t length) noexcept {
  const std::uint32_t rest = length - 3;
  if (rest < std::size(kZstdLengthCodes.matches)) return kZstdLengthCodes.matches[rest];
  return static_cast<std::uint8_t>(35 + std::bit_width(rest));
}

// How often each code comes.
struct ZstdCodeCounts {
  std::uint16_t literal_lengths[kZstdLiteralLengthCodes] = {};
  std::uint16_t match_lengths[kZstdMatchLengthCodes] = {};
  std::uint16_t offsets[kZstdOffsetCodes] = {};
};

template <typename Encoder>
PLEAT_INLINE void zstd_code_sequences(Encoder& encoder, std::size_t count,
                                      ZstdCodeCounts& counts) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    const ZstdWrittenSequence sequence = encoder.sequences[i];
    const ZstdSequenceCodes codes = {zstd_literal_length_code(sequence.literal_count),
                                     zstd_match_length_code(sequence.length),
                                     static_cast<std::uint8_t>(std::bit_width(sequence.value) - 1)};
    encoder.codes[i] = codes;
    ++counts.literal_lengths[codes.literal_length];
    ++counts.match_lengths[codes.match_length];
    ++counts.offsets[codes.offset];
  }
}

// How one kind of code is written.
struct ZstdChosenTable {
  const ZstdWriteTable* table;
  ZstdMode mode;
};

// The size of a table by which the codes and its description take least. What is at dst is lost.
template <std::size_t kCodes>
PLEAT_INLINE unsigned zstd_shortest_log(const std::uint16_t (&counts)[kCodes], std::size_t symbols,
                                        std::uint32_t total, unsigned log_max,
                                        std::byte* dst) noexcept {
  const auto used = symbols - static_cast<std::size_t>(std::count(counts, counts + symbols, 0));
  const auto needed = static_cast<unsigned>(std::bit_width(used - 1));
  unsigned shortest = 0;
  std::size_t least = SIZE_MAX;
  for (unsigned log = std::max(needed, 5u); log <= log_max; ++log) {
    std::int16_t states[kCodes] = {};
    const std::size_t cost = zstd_normalize(counts, symbols, total, log, states);
    const std::size_t bytes = zstd_write_distribution(states, symbols, log, dst);
    if (cost + bytes * 8 * 256 >= least) continue;
    least = cost + bytes * 8 * 256;
    shortest = log;
  }
  return shortest;
}

// Chooses how the table of one kind of code is told, and tells it at dst, behind which that ends.
template <bool kShortest, std::size_t kCodes, std::size_t kKnown>
PLEAT_INLINE ZstdChosenTable zstd_write_table(const std::uint16_t (&counts)[kCodes],
                                              std::uint32_t total, unsigned log_max,
                                              const ZstdPredefinedWriteTable<kKnown>& predefined,
                                              ZstdWriteTable& own, std::byte*& dst) noexcept {
  std::size_t symbols = kCodes;
  while (counts[symbols - 1] == 0) --symbols;
  if (counts[symbols - 1] == total) {
    zstd_build_write_table_of(symbols - 1, own);
    *dst++ = static_cast<std::byte>(symbols - 1);
    return {&own, ZstdMode::kRle};
  }
  // Offsets of a page have no codes that the predefined table does not know.
  std::uint32_t cost = 0;
  for (std::size_t i = 0; i < std::min(kCodes, kKnown); ++i) {
    cost += counts[i] * std::uint32_t{predefined.costs[i]};
  }
  const auto fitting = static_cast<unsigned>(std::bit_width(total - 1));
  const auto needed = static_cast<unsigned>(std::bit_width(symbols - 1)) + 1;
  const unsigned log =
      kShortest ? zstd_shortest_log(counts, symbols, total, log_max, dst)
                : std::min(std::max({fitting > 3 ? fitting - 3 : 0, needed, 5u}), log_max);
  std::int16_t states[kCodes];
  const std::uint32_t own_cost = zstd_normalize(counts, symbols, total, log, states);
  const std::size_t bytes = zstd_write_distribution(states, symbols, log, dst);
  if (cost <= own_cost + static_cast<std::uint32_t>(bytes) * 8 * 256) {
    return {&predefined.table, ZstdMode::kPredefined};
  }
  dst += bytes;
  zstd_build_write_table(states, symbols, log, own);
  return {&own, ZstdMode::kOwn};
}

// Writes the section of sequences; the byte behind it. A sequence takes 35 bits at most, and
// further ones of its lengths, which are fewer than their bytes.
template <typename Encoder>
[[gnu::noinline]] inline std::byte* zstd_write_sequences(Encoder& encoder, std::size_t count,
                                                         std::byte* dst) noexcept {
  if (count < 128) {
    *dst++ = static_cast<std::byte>(count);
  } else {
    *dst++ = static_cast<std::byte>(128 + (count >> 8));
    *dst++ = static_cast<std::byte>(count);
  }
  if (count == 0) return dst;
  constexpr bool kShortest = Encoder::kIsDense;
  ZstdCodeCounts counts;
  zstd_code_sequences(encoder, count, counts);
  std::byte* const modes = dst++;
  const auto total = static_cast<std::uint32_t>(count);
  const ZstdChosenTable literals =
      zstd_write_table<kShortest>(counts.literal_lengths, total, kZstdWriteLogMax,
                                  kZstdWriteLiteralLengths, encoder.literal_lengths, dst);
  const ZstdChosenTable offsets = zstd_write_table<kShortest>(
      counts.offsets, total, kZstdWriteOffsetLogMax, kZstdWriteOffsets, encoder.offsets, dst);
  const ZstdChosenTable matches =
      zstd_write_table<kShortest>(counts.match_lengths, total, kZstdWriteLogMax,
                                  kZstdWriteMatchLengths, encoder.match_lengths, dst);
  *modes = static_cast<std::byte>(static_cast<unsigned>(literals.mode) << 6 |
                                  static_cast<unsigned>(offsets.mode) << 4 |
                                  static_cast<unsigned>(matches.mode) << 2);

  // From the last one on; of each what is read last first. The further bits are the lowest ones of
  // what is told, or of 3 less: each base is a multiple of what they can count.
  ZstdBitWriter writer{dst};
  const auto add_extra = [&](std::size_t i) {
    const ZstdWrittenSequence sequence = encoder.sequences[i];
    const ZstdSequenceCodes codes = encoder.codes[i];
    const unsigned literal_bits = kZstdLiteralLengths[codes.literal_length].extra_bits;
    const unsigned match_bits = kZstdMatchLengths[codes.match_length].extra_bits;
    zstd_add_lowest(writer, sequence.literal_count, literal_bits);
    zstd_add_lowest(writer, sequence.length - 3u, match_bits);
    zstd_add_lowest(writer, sequence.value, codes.offset);
    zstd_flush(writer);
  };
  const ZstdSequenceCodes last = encoder.codes[count - 1];
  std::uint32_t literal_state = zstd_first_state(*literals.table, last.literal_length);
  std::uint32_t match_state = zstd_first_state(*matches.table, last.match_length);
  std::uint32_t offset_state = zstd_first_state(*offsets.table, last.offset);
  add_extra(count - 1);
  for (std::size_t i = count - 1; i-- > 0;) {
    const ZstdSequenceCodes codes = encoder.codes[i];
    zstd_step(*offsets.table, codes.offset, offset_state, writer);
    zstd_step(*matches.table, codes.match_length, match_state, writer);
    zstd_step(*literals.table, codes.literal_length, literal_state, writer);
    if constexpr (!Encoder::kIsPage) zstd_flush(writer);
    add_extra(i);
  }
  const auto add_state = [&writer](const ZstdWriteTable& table, std::uint32_t state) {
    zstd_add_lowest(writer, state, table.log);
  };
  add_state(*matches.table, match_state);
  add_state(*offsets.table, offset_state);
  add_state(*literals.table, literal_state);
  zstd_flush(writer);
  return zstd_close(writer);
}
