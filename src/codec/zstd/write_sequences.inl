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

// Sets encoder.codes, and calls count() with each.
template <typename Encoder, typename Count>
PLEAT_INLINE void zstd_code_sequences(Encoder& encoder, std::size_t count_of_all,
                                      const Count& count) noexcept {
  for (std::size_t i = 0; i < count_of_all; ++i) {
    const ZstdWrittenSequence sequence = encoder.sequences[i];
    const ZstdSequenceCodes codes = {zstd_literal_length_code(sequence.literal_count),
                                     zstd_match_length_code(sequence.length),
                                     static_cast<std::uint8_t>(std::bit_width(sequence.value) - 1)};
    encoder.codes[i] = codes;
    count(codes);
  }
}

// Sets encoder.codes, and counts them.
template <typename Encoder>
PLEAT_INLINE void zstd_count_codes(Encoder& encoder, std::size_t count,
                                   ZstdCodeCounts& counts) noexcept {
  zstd_code_sequences(encoder, count, [&counts](ZstdSequenceCodes codes) {
    ++counts.literal_lengths[codes.literal_length];
    ++counts.match_lengths[codes.match_length];
    ++counts.offsets[codes.offset];
  });
}

// What all codes take, in 1/256 bits.
PLEAT_INLINE std::uint32_t zstd_cost(const std::uint16_t* counts, const std::uint16_t* costs,
                                     std::size_t symbols) noexcept {
  std::uint32_t cost = 0;
  for (std::size_t i = 0; i < symbols; ++i) cost += counts[i] * std::uint32_t{costs[i]};
  return cost;
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
// `canned`, which need not be told, is taken unless another one saves more than `gain` bytes; null
// where there is none.
template <bool kShortest, std::size_t kCodes, std::size_t kKnown>
PLEAT_INLINE ZstdChosenTable zstd_write_table(const std::uint16_t (&counts)[kCodes],
                                              std::uint32_t total, unsigned log_max,
                                              const ZstdPredefinedWriteTable<kKnown>& predefined,
                                              const ZstdCannedTable<kCodes>* canned,
                                              std::uint32_t gain, ZstdWriteTable& own,
                                              std::byte*& dst) noexcept {
  std::size_t symbols = kCodes;
  while (counts[symbols - 1] == 0) --symbols;
  // What another one may cost at most.
  std::uint32_t limit = UINT32_MAX;
  if (canned != nullptr) {
    const std::uint32_t canned_cost = zstd_cost(counts, canned->costs, kCodes);
    // The least that codes which come so often take.
    std::uint32_t least = total * zstd_log2(total);
    for (std::size_t i = 0; i < kCodes; ++i) least -= counts[i] * zstd_log2(counts[i]);
    limit = canned_cost - std::min(canned_cost, gain * 8 * 256);
    if (limit <= least) return {&canned->table, ZstdMode::kRepeat};
  }
  if (counts[symbols - 1] == total) {
    if (canned != nullptr && limit <= 8 * 256) return {&canned->table, ZstdMode::kRepeat};
    zstd_build_write_table_of(symbols - 1, own);
    *dst++ = static_cast<std::byte>(symbols - 1);
    return {&own, ZstdMode::kRle};
  }
  // Offsets of a page have no codes that the predefined table does not know.
  const std::uint32_t cost = zstd_cost(counts, predefined.costs, std::min(kCodes, kKnown));
  const auto fitting = static_cast<unsigned>(std::bit_width(total - 1));
  const auto needed = static_cast<unsigned>(std::bit_width(symbols - 1)) + 1;
  const unsigned log =
      kShortest ? zstd_shortest_log(counts, symbols, total, log_max, dst)
                : std::min(std::max({fitting > 3 ? fitting - 3 : 0, needed, 5u}), log_max);
  std::int16_t states[kCodes];
  const std::uint32_t own_cost = zstd_normalize(counts, symbols, total, log, states);
  const std::size_t bytes = zstd_write_distribution(states, symbols, log, dst);
  const std::uint32_t told_cost = own_cost + static_cast<std::uint32_t>(bytes) * 8 * 256;
  if (canned != nullptr && limit <= std::min(cost, told_cost)) {
    return {&canned->table, ZstdMode::kRepeat};
  }
  if (cost <= told_cost) {
    return {&predefined.table, ZstdMode::kPredefined};
  }
  dst += bytes;
  zstd_build_write_table(states, symbols, log, own);
  return {&own, ZstdMode::kOwn};
}

// Writes how many sequences there are; the byte behind that.
PLEAT_INLINE std::byte* zstd_write_sequence_count(std::size_t count, std::byte* dst) noexcept {
  if (count < 128) {
    *dst++ = static_cast<std::byte>(count);
  } else {
    *dst++ = static_cast<std::byte>(128 + (count >> 8));
    *dst++ = static_cast<std::byte>(count);
  }
  return dst;
}

PLEAT_INLINE std::byte zstd_modes(ZstdMode literals, ZstdMode offsets, ZstdMode matches) noexcept {
  return static_cast<std::byte>(static_cast<unsigned>(literals) << 6 |
                                static_cast<unsigned>(offsets) << 4 |
                                static_cast<unsigned>(matches) << 2);
}

// Writes sequences, whose codes are there, by these tables; the byte behind them.
template <typename Encoder>
PLEAT_INLINE std::byte* zstd_write_coded_sequences(const Encoder& encoder, std::size_t count,
                                                   const ZstdWriteTable& literals,
                                                   const ZstdWriteTable& offsets,
                                                   const ZstdWriteTable& matches,
                                                   std::byte* dst) noexcept {
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
  std::uint32_t literal_state = zstd_first_state(literals, last.literal_length);
  std::uint32_t match_state = zstd_first_state(matches, last.match_length);
  std::uint32_t offset_state = zstd_first_state(offsets, last.offset);
  add_extra(count - 1);
  for (std::size_t i = count - 1; i-- > 0;) {
    const ZstdSequenceCodes codes = encoder.codes[i];
    zstd_step(offsets, codes.offset, offset_state, writer);
    zstd_step(matches, codes.match_length, match_state, writer);
    zstd_step(literals, codes.literal_length, literal_state, writer);
    if constexpr (!Encoder::kIsPage) zstd_flush(writer);
    add_extra(i);
  }
  const auto add_state = [&writer](const ZstdWriteTable& table, std::uint32_t state) {
    zstd_add_lowest(writer, state, table.log);
  };
  add_state(matches, match_state);
  add_state(offsets, offset_state);
  add_state(literals, literal_state);
  zstd_flush(writer);
  return zstd_close(writer);
}

// Writes the section of sequences; the byte behind it. A sequence takes 35 bits at most, and
// further ones of its lengths, which are fewer than their bytes. By canned tables, where there are
// any, unless others save more than `gain` bytes each.
template <typename Encoder>
[[gnu::noinline]] inline std::byte* zstd_write_sequences(Encoder& encoder, std::size_t count,
                                                         const ZstdCannedTables* canned,
                                                         std::uint32_t gain,
                                                         std::byte* dst) noexcept {
  dst = zstd_write_sequence_count(count, dst);
  if (count == 0) return dst;
  constexpr bool kShortest = Encoder::kIsDense;
  ZstdCodeCounts counts;
  zstd_count_codes(encoder, count, counts);
  std::byte* const modes = dst++;
  const auto total = static_cast<std::uint32_t>(count);
  const ZstdChosenTable literals = zstd_write_table<kShortest>(
      counts.literal_lengths, total, kZstdWriteLogMax, kZstdWriteLiteralLengths,
      canned != nullptr ? &canned->literal_lengths : nullptr, gain, encoder.literal_lengths, dst);
  const ZstdChosenTable offsets = zstd_write_table<kShortest>(
      counts.offsets, total, kZstdWriteOffsetLogMax, kZstdWriteOffsets,
      canned != nullptr ? &canned->offsets : nullptr, gain, encoder.offsets, dst);
  const ZstdChosenTable matches = zstd_write_table<kShortest>(
      counts.match_lengths, total, kZstdWriteLogMax, kZstdWriteMatchLengths,
      canned != nullptr ? &canned->match_lengths : nullptr, gain, encoder.match_lengths, dst);
  *modes = zstd_modes(literals.mode, offsets.mode, matches.mode);
  return zstd_write_coded_sequences(encoder, count, *literals.table, *offsets.table, *matches.table,
                                    dst);
}
