// SPDX-License-Identifier: MIT OR Apache-2.0
// FSE tables of zstd blocks as they are written (RFC 8878, 4.1): how many states each symbol gets,
// their description, and the table. Included by isa/*.cpp inside their target region.

// log2 in 1/256, by squaring.
struct ZstdLogarithms {
  std::uint16_t of[(1 << kZstdWriteLogMax) + 1] = {};

  constexpr ZstdLogarithms() {
    for (std::uint32_t x = 1; x < std::size(of); ++x) {
      const auto whole = static_cast<unsigned>(std::bit_width(x)) - 1;
      std::uint64_t fraction = std::uint64_t{x} << (31 - whole);  // 1 to 2, in 2^-31
      std::uint32_t result = whole;
      for (int i = 0; i < 8; ++i) {
        fraction = fraction * fraction >> 31;
        result = result << 1 | static_cast<std::uint32_t>(fraction >> 32);
        fraction >>= fraction >> 32;
      }
      of[x] = static_cast<std::uint16_t>(result);
    }
  }
};
constexpr ZstdLogarithms kZstdLogarithms;

// log2 of any number in 1/256, up to 22 of them too low: of a float the exponent, and the fraction
// as if the logarithm were straight between powers of two. Of 0 it is anything.
PLEAT_INLINE std::uint32_t zstd_log2(std::uint32_t value) noexcept {
  const auto number = static_cast<float>(static_cast<std::int32_t>(value));
  return (std::bit_cast<std::uint32_t>(number) - std::bit_cast<std::uint32_t>(1.0F)) >> 15;
}

// Rounds counts to states of a table of 2^log, at least one for each symbol that comes; returns
// what the symbols take then, in 1/256 bits.
PLEAT_INLINE std::uint32_t zstd_normalize(const std::uint16_t* counts, std::size_t symbols,
                                          std::uint32_t total, unsigned log,
                                          std::int16_t* states) noexcept {
  constexpr unsigned kFraction = 20;
  const std::uint32_t scale = (1u << (log + kFraction)) / total;
  std::int32_t rest = 1 << log;
  std::size_t largest = 0;
  for (std::size_t i = 0; i < symbols; ++i) {
    const std::uint32_t scaled = counts[i] * scale + (1u << (kFraction - 1));
    auto share = static_cast<std::int16_t>(scaled >> kFraction);
    share = counts[i] != 0 && share == 0 ? std::int16_t{1} : share;
    states[i] = share;
    rest -= share;
    largest = counts[i] > counts[largest] ? i : largest;
  }
  // What is left over, or too much, is the most frequent one's, as long as that has enough.
  while (states[largest] + rest < 1) {
    std::size_t most = 0;
    for (std::size_t i = 0; i < symbols; ++i) {
      if (states[i] > states[most]) most = i;
    }
    --states[most];
    ++rest;
  }
  states[largest] = static_cast<std::int16_t>(states[largest] + rest);
  std::uint32_t cost = total * log * 256;
  for (std::size_t i = 0; i < symbols; ++i) {
    cost -= counts[i] * std::uint32_t{kZstdLogarithms.of[states[i]]};
  }
  return cost;
}

// Describes a distribution; the bytes that this takes.
PLEAT_INLINE std::size_t zstd_write_distribution(const std::int16_t* states, std::size_t symbols,
                                                 unsigned log, std::byte* dst) noexcept {
  ZstdBitWriter writer{dst};
  zstd_add(writer, log - 5, 4);
  std::int32_t rest = (1 << log) + 1;
  for (std::size_t symbol = 0; symbol < symbols && rest > 1;) {
    const auto bits = static_cast<unsigned>(std::bit_width(static_cast<std::uint32_t>(rest)));
    const std::int32_t half = 1 << (bits - 1);
    const std::int32_t small = 2 * half - 1 - rest;
    const std::int32_t count = states[symbol++];
    // Small ones take a bit less.
    const std::int32_t value = count + 1;
    const bool is_small = value < small;
    zstd_add(writer, static_cast<std::uint64_t>(value + (value >= half ? small : 0)),
             bits - is_small);
    zstd_flush(writer);
    rest -= count;
    if (count != 0) continue;
    std::size_t zeros = 0;
    while (symbol < symbols && states[symbol] == 0) {
      ++zeros;
      ++symbol;
    }
    for (; zeros >= 3; zeros -= 3) {
      zstd_add(writer, 3, 2);
      zstd_flush(writer);
    }
    zstd_add(writer, zeros, 2);
    zstd_flush(writer);
  }
  if (writer.bits > 0) *writer.at++ = static_cast<std::byte>(writer.word);
  return static_cast<std::size_t>(writer.at - dst);
}

// How a symbol of `count` states, the first of which is number `first` of all, is written.
PLEAT_INLINE constexpr ZstdSymbolStep zstd_symbol_step(std::uint32_t first, std::uint32_t count,
                                                       unsigned log) noexcept {
  // One of a single state takes all of the table's bits.
  const unsigned bits =
      count == 1 ? log : log + 1 - static_cast<unsigned>(std::bit_width(count - 1));
  return {(bits << 16) - (count << bits),
          static_cast<std::int32_t>(first) - static_cast<std::int32_t>(count)};
}

// The table by which symbols are written, for the same distribution as is read.
PLEAT_INLINE constexpr void zstd_build_write_table(const std::int16_t* counts, std::size_t symbols,
                                                   unsigned log, ZstdWriteTable& table) noexcept {
  std::uint16_t next[kZstdMatchLengthCodes];
  std::uint32_t total = 0;
  for (std::size_t symbol = 0; symbol < symbols; ++symbol) {
    const std::uint32_t count =
        counts[symbol] < 0 ? 1u : static_cast<std::uint32_t>(counts[symbol]);
    next[symbol] = static_cast<std::uint16_t>(total);
    if (count != 0) table.steps[symbol] = zstd_symbol_step(total, count, log);
    total += count;
  }
  zstd_spread(
      counts, symbols, log, [&](std::size_t state, std::size_t symbol, std::uint32_t, unsigned) {
        table.states[next[symbol]++] = static_cast<std::uint16_t>((std::size_t{1} << log) + state);
      });
  table.log = log;
}

// The table of one symbol alone, which takes no bits.
PLEAT_INLINE void zstd_build_write_table_of(std::size_t symbol, ZstdWriteTable& table) noexcept {
  table.states[0] = 1;
  table.steps[symbol] = zstd_symbol_step(0, 1, 0);
  table.log = 0;
}

// A predefined table, and what each symbol takes by it, in 1/256 bits.
template <std::size_t kSymbols>
struct ZstdPredefinedWriteTable {
  ZstdWriteTable table = {};
  std::uint16_t costs[kSymbols] = {};

  constexpr ZstdPredefinedWriteTable(const std::array<std::int16_t, kSymbols>& counts,
                                     unsigned log) {
    zstd_build_write_table(counts.data(), kSymbols, log, table);
    for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
      const int states = counts[symbol] < 0 ? 1 : counts[symbol];
      costs[symbol] = static_cast<std::uint16_t>(log * 256 - kZstdLogarithms.of[states]);
    }
  }
};
constexpr ZstdPredefinedWriteTable kZstdWriteLiteralLengths{kZstdLiteralLengthsPredefined,
                                                            kZstdLiteralLengthLogPredefined};
constexpr ZstdPredefinedWriteTable kZstdWriteMatchLengths{kZstdMatchLengthsPredefined,
                                                          kZstdMatchLengthLogPredefined};
constexpr ZstdPredefinedWriteTable kZstdWriteOffsets{kZstdOffsetsPredefined,
                                                     kZstdOffsetLogPredefined};

// The state from which reading yields the symbol first: written last.
PLEAT_INLINE std::uint32_t zstd_first_state(const ZstdWriteTable& table,
                                            std::size_t symbol) noexcept {
  const ZstdSymbolStep step = table.steps[symbol];
  const std::uint32_t bits = (step.bits + (1 << 15)) >> 16;
  const std::uint32_t value = (bits << 16) - step.bits;
  return table.states[static_cast<std::int32_t>(value >> bits) + step.next];
}

// Adds what leads from the symbol's state to the one at hand.
PLEAT_INLINE void zstd_step(const ZstdWriteTable& table, std::size_t symbol, std::uint32_t& state,
                            ZstdBitWriter& writer) noexcept {
  const ZstdSymbolStep step = table.steps[symbol];
  const std::uint32_t bits = (state + step.bits) >> 16;
  zstd_add_lowest(writer, state, bits);
  state = table.states[static_cast<std::int32_t>(state >> bits) + step.next];
}
