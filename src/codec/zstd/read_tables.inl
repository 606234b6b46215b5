// SPDX-License-Identifier: MIT OR Apache-2.0
// The tables of zstd blocks, from their descriptions: FSE (RFC 8878, 4.1) and Huffman (4.2).
// Included by isa/*.cpp inside their target region.

constexpr std::size_t kZstdWeightsMax = 255;  // and one, the last symbol's, which is not told

// How many states each symbol has. Zeros are written four at a time.
struct ZstdDistribution {
  std::int16_t counts[kZstdMatchLengthCodes + 4];
  std::size_t symbols;
  unsigned log;
};
static_assert(kZstdMatchLengthCodes >= kZstdLiteralLengthCodes &&
              kZstdMatchLengthCodes >= kZstdOffsetCodes);

// Reads a distribution of at most `symbols_max` symbols, and returns the bytes that it takes; 0
// where it is none.
[[gnu::noinline]] inline std::size_t zstd_read_distribution(
    std::span<const std::byte> src, std::size_t symbols_max, unsigned log_max,
    ZstdDistribution& distribution) noexcept {
  std::size_t at = 0;
  distribution.log = (zstd_bits_at(src, at) & 15) + 5;
  if (src.empty() || distribution.log > log_max) return 0;
  at += 4;
  // What is left for the symbols to come, and one; a value has as many bits as that needs, and one
  // fewer where it is small.
  std::int32_t rest = (1 << distribution.log) + 1;
  std::size_t symbol = 0;
  while (rest > 1) {
    if (symbol == symbols_max) return 0;
    const auto bits = static_cast<unsigned>(std::bit_width(static_cast<std::uint32_t>(rest)));
    const std::int32_t half = 1 << (bits - 1);
    const std::int32_t small = 2 * half - 1 - rest;
    const std::uint32_t word = zstd_bits_at(src, at);
    auto value = static_cast<std::int32_t>(word & static_cast<std::uint32_t>(half - 1));
    if (value < small) {
      at += bits - 1;
    } else {
      value = static_cast<std::int32_t>(word & static_cast<std::uint32_t>(2 * half - 1));
      if (value >= half) value -= small;
      at += bits;
    }
    const std::int32_t count = value - 1;
    rest -= count < 0 ? 1 : count;
    distribution.counts[symbol++] = static_cast<std::int16_t>(count);
    if (count != 0) continue;
    // How many more symbols have none.
    for (std::uint32_t more = 3; more == 3; at += 2) {
      more = zstd_bits_at(src, at) & 3;
      if (symbol + more > symbols_max) return 0;
      put(distribution.counts + symbol, std::uint64_t{0});
      symbol += more;
    }
  }
  distribution.symbols = symbol;
  const std::size_t bytes = (at + 7) / 8;
  return rest == 1 && bytes <= src.size() ? bytes : 0;
}

// Spreads a distribution over the states of a table, and calls fill(state, symbol, next, bits) for
// each: the symbol, and the state that follows, `next` and the value of `bits` bits.
template <typename Fill>
PLEAT_INLINE constexpr void zstd_spread(const std::int16_t* counts, std::size_t symbols,
                                        unsigned log, const Fill& fill) noexcept {
  const std::size_t size = std::size_t{1} << log;
  // All symbols in order, written in pieces of a fixed size.
  constexpr std::size_t kPiece = 16;
  std::uint8_t symbols_of[(1 << kZstdLiteralLengthLogMax) + kPiece];
  std::uint8_t spread[1 << kZstdLiteralLengthLogMax];
  std::uint16_t next[kZstdMatchLengthCodes];
  std::size_t top = size;
  std::size_t end = 0;
  for (std::size_t symbol = 0; symbol < symbols; ++symbol) {
    const std::int16_t count = counts[symbol];
    next[symbol] = static_cast<std::uint16_t>(count < 0 ? 1 : count);
    if (count < 0) {
      spread[--top] = static_cast<std::uint8_t>(symbol);
      continue;
    }
    const std::size_t begin = end;
    end += static_cast<std::size_t>(count);
    for (std::size_t at = begin; at == begin || at < end; at += kPiece) {
      std::fill_n(symbols_of + at, kPiece, static_cast<std::uint8_t>(symbol));
    }
  }
  // Each symbol's state is `step` behind the one before it, so that the states in order have
  // symbols that are the step's inverse apart; but for states that rare symbols have.
  const std::size_t step = (size >> 1) + (size >> 3) + 3;
  std::size_t inverse = step * (2 - step * step);
  inverse *= 2 - step * inverse;
  const std::uint8_t* symbol_of = symbols_of;
  if (top < size) {
    std::size_t state = 0;
    for (std::size_t i = 0; i < end; ++i) {
      spread[state] = symbols_of[i];
      do {
        state = (state + step) & (size - 1);
      } while (state >= top);
    }
    symbol_of = spread;
    inverse = 1;
  }
#pragma GCC unroll 4
  for (std::size_t state = 0; state < size; ++state) {
    const std::size_t symbol = symbol_of[state * inverse & (size - 1)];
    const std::uint32_t number = next[symbol]++;
    const unsigned bits = log - (31u ^ static_cast<unsigned>(std::countl_zero(number)));
    fill(state, symbol, (number << bits) - static_cast<std::uint32_t>(size), bits);
  }
}

// The entry of a code whose next state is 0.
constexpr ZstdSequenceEntry zstd_code_entry(ZstdCode code) {
  return {code.extra_bits, 0, 0, code.base};
}

// codes[symbol]: what the symbol stands for.
PLEAT_INLINE constexpr void zstd_build_sequence_table(const std::int16_t* counts,
                                                      std::size_t symbols, unsigned log,
                                                      const ZstdSequenceEntry* codes,
                                                      ZstdSequenceEntry* entries) noexcept {
  zstd_spread(counts, symbols, log,
              [&](std::size_t state, std::size_t symbol, std::uint32_t next, unsigned bits) {
                const std::uint64_t word =
                    std::bit_cast<std::uint64_t>(codes[symbol]) + (bits * 0x101 + (next << 16));
                if (std::is_constant_evaluated()) {
                  entries[state] = std::bit_cast<ZstdSequenceEntry>(word);
                } else {
                  put(&entries[state], word);  // at once, which no compiler would do otherwise
                }
              });
}

// Reads the weights of a Huffman code's symbols, all but the last one's, and returns how many there
// are; 0 where they are none. `src` is the description behind its first byte, all of it.
[[gnu::noinline]] inline std::size_t zstd_read_fse_weights(std::span<const std::byte> src,
                                                           std::uint8_t* weights) noexcept {
  ZstdDistribution distribution;
  const std::size_t header =
      zstd_read_distribution(src, kZstdHuffmanLogMax + 2, kZstdWeightLogMax, distribution);
  ZstdStream stream;
  if (header == 0 || !zstd_open_stream(src.data(), src.subspan(header), stream)) return 0;
  // Bits (lowest 8), by which a word can be shifted as it is, weight (8) and next state (16).
  std::uint32_t entries[1 << kZstdWeightLogMax];
  zstd_spread(distribution.counts, distribution.symbols, distribution.log,
              [&](std::size_t state, std::size_t symbol, std::uint32_t next, unsigned bits) {
                entries[state] = next << 16 | static_cast<std::uint32_t>(symbol << 8) |
                                 static_cast<std::uint32_t>(bits);
              });
  // Two states take turns, and the first to want bits that are not there ends it: the other one's
  // weight is the last.
  std::uint32_t first = zstd_read(stream, distribution.log);
  std::uint32_t second = zstd_read(stream, distribution.log);
  if (stream.left < 0) return 0;
  std::size_t count = 0;
  // Adds the state's weight, and leads on to its next state by the word's highest bits.
  const auto step = [&](std::uint32_t& state, std::uint64_t& word) {
    const std::uint32_t entry = entries[state];
    weights[count++] = static_cast<std::uint8_t>(entry >> 8);
    state = (entry >> 16) + static_cast<std::uint32_t>(word >> 1 >> (~entry & 63));
    word <<= entry & 63;
    return entry & 63;
  };
  // While a word has enough for eight. Its lowest set bit is one more than there are, and tells how
  // many were read.
  constexpr unsigned kEight = 8 * kZstdWeightLogMax;
  static_assert(kEight <= 56);
  while (stream.left >= 56 && count < kZstdWeightsMax - 8) {
    std::uint64_t word = (zstd_peek_inside(stream) & ~std::uint64_t{0xff}) | 0x80;
    for (std::size_t i = 0; i < 4; ++i) {
      step(first, word);
      step(second, word);
    }
    stream.left -= std::countr_zero(word) - 7;
  }
  // What is left is in one word.
  std::uint64_t word = zstd_peek(stream);
  while (count < kZstdWeightsMax - 1) {
    stream.left -= step(first, word);
    if (stream.left < 0) {
      weights[count] = static_cast<std::uint8_t>(entries[second] >> 8);
      return count + 1;
    }
    std::swap(first, second);
  }
  return 0;
}

// How many symbols have each weight, the last byte those of weight 0: bytes that are added at once,
// by the compiler's vectors, so that none has to be read again for the next symbol.
using ZstdWeightCounts [[gnu::vector_size(16)]] = std::uint8_t;
// From byte `weight` on, what a symbol of that weight adds.
alignas(32) constexpr std::uint8_t kZstdWeightOnes[31] = {0, 0, 0, 0, 0, 0, 0, 0,
                                                          0, 0, 0, 0, 0, 0, 0, 1};

// Reads a Huffman code, builds its table, and returns the bytes that its description takes; 0 where
// it is none.
[[gnu::noinline]] inline std::size_t zstd_read_huffman(
    std::span<const std::byte> src, ZstdHuffmanEntry* entries,
    ZstdTable<ZstdHuffmanEntry>& table) noexcept {
  if (src.empty()) return 0;
  std::uint8_t weights[256];
  std::size_t count = 0;
  const auto first = static_cast<std::size_t>(src[0]);
  std::size_t bytes = 1 + first;
  if (first >= 128) {
    count = first - 127;
    bytes = 1 + (count + 1) / 2;
    if (bytes > src.size()) return 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto pair = static_cast<unsigned>(src[1 + i / 2]);
      weights[i] = static_cast<std::uint8_t>(i % 2 == 0 ? pair >> 4 : pair & 15);
    }
  } else {
    if (bytes > src.size()) return 0;
    count = zstd_read_fse_weights(src.subspan(1, first), weights);
    if (count == 0) return 0;
  }

  // Which symbols have a code, and how many have each weight.
  std::uint8_t used[256];
  std::size_t used_count = 0;
  ZstdWeightCounts counts = {};
#pragma GCC unroll 4
  for (std::size_t symbol = 0; symbol < count; ++symbol) {
    used[used_count] = static_cast<std::uint8_t>(symbol);
    used_count += weights[symbol] != 0;
    counts += load<ZstdWeightCounts>(kZstdWeightOnes + weights[symbol]);
  }
  std::uint16_t symbols_of[16];  // more than a byte has, with the last one
  for (std::size_t weight = 0; weight < 16; ++weight) symbols_of[weight] = counts[15 - weight];
  // A symbol of weight w has 2^(w - 1) of the table's entries, and the last one what the others
  // leave of a power of two.
  std::uint32_t total = 0;
  for (std::size_t weight = 1; weight < 16; ++weight) {
    total += std::uint32_t{symbols_of[weight]} << (weight - 1);
  }
  const auto log = static_cast<unsigned>(std::bit_width(total));
  if (total == 0 || log > kZstdHuffmanLogMax) return 0;
  const std::uint32_t rest = (std::uint32_t{1} << log) - total;
  if (!std::has_single_bit(rest)) return 0;
  weights[count] = static_cast<std::uint8_t>(std::bit_width(rest));
  ++symbols_of[weights[count]];
  used[used_count++] = static_cast<std::uint8_t>(count);
  // The longest codes come in pairs; where there are none the description is longer than it need
  // be.
  if (symbols_of[1] < 2) return 0;

  // Codes of low weight, the longest ones, come first, and those of one weight in order: from both
  // ends at once, since what a place was raised by takes long to be read again.
  std::uint8_t symbols[256];
  std::uint16_t begins[kZstdHuffmanLogMax + 1];
  std::uint16_t ends[kZstdHuffmanLogMax + 1];
  std::uint16_t before = 0;
  for (unsigned weight = 1; weight <= log; ++weight) {
    begins[weight] = before;
    before = static_cast<std::uint16_t>(before + symbols_of[weight]);
    ends[weight] = before;
  }
  for (std::size_t i = 0; i < (used_count + 1) / 2; ++i) {
    const std::uint8_t one = used[i];
    const std::uint8_t other = used[used_count - 1 - i];
    symbols[begins[weights[one]]++] = one;
    symbols[--ends[weights[other]]] = other;
  }
  std::size_t number = 0;
  ZstdHuffmanEntry* to = entries;
  const auto entry_of = [&](std::size_t symbol, unsigned weight) {
    return static_cast<ZstdHuffmanEntry>(symbol << 8 | (log + 1 - weight));
  };
  for (std::size_t i = 0; i < symbols_of[1]; ++i, ++to) put(to, entry_of(symbols[number++], 1));
  if (log >= 2) {
    for (std::size_t i = 0; i < symbols_of[2]; ++i, to += 2) {
      put(to, entry_of(symbols[number++], 2) * std::uint32_t{0x10001});
    }
  }
  for (unsigned weight = 3; weight <= log; ++weight) {
    const std::size_t length = std::size_t{1} << (weight - 1);
    for (std::size_t i = 0; i < symbols_of[weight]; ++i, to += length) {
      const std::uint64_t four =
          entry_of(symbols[number++], weight) * std::uint64_t{0x1000100010001};
      for (std::size_t at = 0; at < length; at += 4) put(to + at, four);
    }
  }
  table = {entries, log};
  return bytes;
}
