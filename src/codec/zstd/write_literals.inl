// SPDX-License-Identifier: MIT OR Apache-2.0
// The literals of zstd blocks as they are written (RFC 8878, 3.1.1.3.1 and 4.2). Included by
// isa/*.cpp inside their target region.

// The symbols that come, in order, with how often they do and how many bits each gets.
struct ZstdHuffmanLengths {
  std::uint8_t symbols[256];
  std::uint16_t counts[256];
  std::uint8_t bits[256];
  std::size_t used;
};

PLEAT_INLINE void zstd_count_literals(const std::byte* literals, std::size_t count,
                                      ZstdHuffmanLengths& lengths) noexcept {
  alignas(64) std::uint16_t counts[4][256] = {};
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const std::uint64_t word = load_u64(literals + i);
    for (unsigned k = 0; k < 8; ++k) ++counts[k % 4][word >> 8 * k & 255];
  }
  for (; i < count; ++i) ++counts[0][static_cast<std::size_t>(literals[i])];
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    counts[0][symbol] = static_cast<std::uint16_t>(counts[0][symbol] + counts[1][symbol] +
                                                   counts[2][symbol] + counts[3][symbol]);
  }
  std::size_t used = 0;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    lengths.symbols[used] = static_cast<std::uint8_t>(symbol);
    lengths.counts[used] = counts[0][symbol];
    used += counts[0][symbol] != 0;
  }
  lengths.used = used;
}

// Lengths without a sort: each symbol's share of the literals rounded down to a power of two, and
// what that leaves of the code is given to those that lost most by it. Returns the bits that all
// literals take.
PLEAT_INLINE std::uint32_t zstd_huffman_lengths(std::uint32_t total,
                                                ZstdHuffmanLengths& lengths) noexcept {
  constexpr unsigned kMax = kZstdWriteHuffmanLogMax;
  const std::size_t used = lengths.used;
  // The share's exponent is the length, and the highest bits of its fraction say how much more than
  // 2^-length it is, in sixteenths.
  const float scale = 1.0F / static_cast<float>(total);
  std::uint8_t sixteenths[256];
  std::int32_t rest = 1 << kMax;
  for (std::size_t i = 0; i < used; ++i) {
    const auto share = std::bit_cast<std::uint32_t>(static_cast<float>(lengths.counts[i]) * scale);
    const std::uint32_t exponent = 127 - (share >> 23);
    const std::uint32_t bits = std::min(std::max(exponent, 1u), kMax);
    lengths.bits[i] = static_cast<std::uint8_t>(bits);
    sixteenths[i] = static_cast<std::uint8_t>(exponent > kMax ? 0 : share >> 19 & 15);
    rest -= static_cast<std::int32_t>(1u << (kMax - bits));
  }
  // Where many symbols are rarer than the longest code allows, the code is too full: the least that
  // a longer one costs is taken from those whose share is smallest for their length.
  for (unsigned threshold = 0; rest < 0; ++threshold) {
    for (std::size_t i = 0; i < used && rest < 0; ++i) {
      if (lengths.bits[i] >= kMax || sixteenths[i] > threshold) continue;
      rest += static_cast<std::int32_t>(1u << (kMax - lengths.bits[i] - 1));
      ++lengths.bits[i];
      sixteenths[i] = static_cast<std::uint8_t>(16 + sixteenths[i] / 2);
    }
  }
  // Lists of symbols by their sixteenths.
  constexpr std::uint16_t kNone = 256;
  std::uint16_t first[16];
  std::uint16_t next[256];
  for (std::uint16_t& head : first) head = kNone;
  for (std::size_t i = used; i-- > 0;) {
    std::uint16_t& head = first[sixteenths[i] & 15];
    next[i] = head;
    head = static_cast<std::uint16_t>(i);
  }
  for (unsigned share = 15; rest > 0; share = (share - 1) & 15) {
    for (std::uint16_t i = std::exchange(first[share], kNone); i != kNone && rest > 0;) {
      const std::uint16_t following = next[i];
      const auto more = static_cast<std::int32_t>(1u << (kMax - lengths.bits[i]));
      // What is left only gets less: one that is too large now stays so.
      if (more <= rest && lengths.bits[i] > 1) {
        rest -= more;
        --lengths.bits[i];
        // Further down by half of what it is more than 16 below the others.
        next[i] = std::exchange(first[share / 2], i);
      }
      i = following;
    }
  }
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < used; ++i) sum += std::uint32_t{lengths.counts[i]} * lengths.bits[i];
  return sum;
}

// Gives codes to lengths, in the order in which their reader does; returns the longest length.
PLEAT_INLINE unsigned zstd_huffman_codes(const ZstdHuffmanLengths& lengths,
                                         ZstdHuffmanCode& code) noexcept {
  std::uint16_t number_of[16] = {};
  for (std::size_t i = 0; i < lengths.used; ++i) ++number_of[lengths.bits[i]];
  unsigned log = kZstdHuffmanLogMax;
  while (number_of[log] == 0) --log;
  std::uint16_t next[16];
  unsigned first = 0;
  for (unsigned bits = log; bits > 0; --bits) {
    next[bits] = static_cast<std::uint16_t>(first << 4 | bits);
    first = (first + number_of[bits]) >> 1;
  }
  for (std::size_t i = 0; i < lengths.used; ++i) {
    std::uint16_t& word = next[lengths.bits[i]];
    code.words[lengths.symbols[i]] = word;
    word = static_cast<std::uint16_t>(word + 16);
  }
  return log;
}

// Writes weights by FSE; the bytes, or 0 where these are too many or all weights are one.
PLEAT_INLINE std::size_t zstd_write_weights(const std::uint8_t* weights, std::size_t count,
                                            std::byte* dst) noexcept {
  constexpr std::size_t kWeights = kZstdHuffmanLogMax + 1;
  constexpr std::size_t kBytesMax = 127;
  std::uint16_t counts[kWeights] = {};
  for (std::size_t i = 0; i < count; ++i) ++counts[weights[i]];
  if (std::find(counts, counts + kWeights, count) != counts + kWeights) return 0;
  std::size_t symbols = kWeights;
  while (counts[symbols - 1] == 0) --symbols;
  const unsigned log = count > 64 ? kZstdWeightLogMax : kZstdWeightLogMax - 1;
  std::int16_t states[kWeights];
  const std::uint32_t cost =
      zstd_normalize(counts, symbols, static_cast<std::uint32_t>(count), log, states);
  if (cost > kBytesMax * 8 * 256) return 0;
  ZstdWriteTable table;
  zstd_build_write_table(states, symbols, log, table);
  ZstdBitWriter writer{dst + zstd_write_distribution(states, symbols, log, dst)};
  // Two states take turns, the first one with the first weight.
  std::size_t i = count;
  std::uint32_t odd = 0;
  std::uint32_t even = 0;
  if (count % 2 == 1) even = zstd_first_state(table, weights[--i]);
  odd = zstd_first_state(table, weights[--i]);
  if (count % 2 == 0) {
    even = zstd_first_state(table, weights[--i]);
  } else if (i > 0) {
    zstd_step(table, weights[--i], even, writer);
  }
  // Both states stand before an odd number now.
  for (; i >= 2; i -= 2) {
    zstd_step(table, weights[i - 1], odd, writer);
    zstd_step(table, weights[i - 2], even, writer);
    zstd_flush(writer);
  }
  zstd_add_lowest(writer, odd, log);
  zstd_add_lowest(writer, even, log);
  zstd_flush(writer);
  const auto bytes = static_cast<std::size_t>(zstd_close(writer) - dst);
  return bytes <= kBytesMax ? bytes : 0;
}

// Describes a code: its weights, by FSE or four bits each, whichever is shorter. The bytes, or 0
// where it cannot be described (more than 128 symbols whose weights FSE does not shorten).
PLEAT_INLINE std::size_t zstd_write_huffman(const ZstdHuffmanLengths& lengths, unsigned log,
                                            std::byte* dst) noexcept {
  // The last one's weight is not told.
  const std::size_t count = lengths.symbols[lengths.used - 1];
  std::uint8_t weights[256] = {};
  for (std::size_t i = 0; i + 1 < lengths.used; ++i) {
    weights[lengths.symbols[i]] = static_cast<std::uint8_t>(log + 1 - lengths.bits[i]);
  }
  const std::size_t coded = count > 2 ? zstd_write_weights(weights, count, dst + 1) : 0;
  const std::size_t plain = (count + 1) / 2;
  if (coded != 0 && (count > 128 || coded < plain)) {
    dst[0] = static_cast<std::byte>(coded);
    return 1 + coded;
  }
  if (count > 128) return 0;
  dst[0] = static_cast<std::byte>(127 + count);
  for (std::size_t i = 0; i < count; i += 2) {
    dst[1 + i / 2] = static_cast<std::byte>(weights[i] << 4 | weights[i + 1]);
  }
  return 1 + plain;
}

// One stream of literals, the last one first. The bytes; dst has room for two bytes each and 8.
PLEAT_INLINE std::size_t zstd_write_stream(const ZstdHuffmanCode& code, const std::byte* literals,
                                           std::size_t count, std::byte* dst) noexcept {
  ZstdBitWriter writer{dst};
  const auto add = [&](std::size_t i) {
    const std::uint32_t word = code.words[static_cast<std::size_t>(literals[i])];
    zstd_add(writer, word >> 4, word & 15);
  };
  std::size_t i = count;
  for (; i % 4 != 0; --i) add(i - 1);
  zstd_flush(writer);
  for (; i > 0; i -= 4) {
    for (std::size_t k = 1; k <= 4; ++k) add(i - k);
    zstd_flush(writer);
  }
  return static_cast<std::size_t>(zstd_close(writer) - dst);
}

// Writes literals as they are, or one that they all are; the byte behind it.
PLEAT_INLINE std::byte* zstd_write_plain(ZstdLiterals kind, const std::byte* literals,
                                         std::size_t count, std::byte* dst) noexcept {
  const auto bits = static_cast<std::size_t>(kind);
  if (count < 32) {
    *dst++ = static_cast<std::byte>(count << 3 | bits);
  } else if (count < 4096) {
    put(dst, static_cast<std::uint16_t>(count << 4 | 4 | bits));
    dst += 2;
  } else {
    put(dst, static_cast<std::uint32_t>(count << 4 | 12 | bits));
    dst += 3;
  }
  const std::size_t bytes = kind == ZstdLiterals::kRle ? 1 : count;
  std::memcpy(dst, literals, bytes);
  return dst + bytes;
}

// How long the header of coded literals is: its two sizes have 10, 14 or 18 bits each.
PLEAT_INLINE std::size_t zstd_coded_header(std::size_t count) noexcept {
  return count < 1024 ? 3 : count < 16384 ? 4 : 5;
}

// Writes literals by a code, whose description of `tree` bytes is behind the header's place, in
// four streams; the byte behind them, or null where that takes no less than they are.
PLEAT_INLINE std::byte* zstd_write_streams(ZstdLiterals kind, const ZstdHuffmanCode& code,
                                           std::size_t tree, const std::byte* literals,
                                           std::size_t count, std::byte* dst) noexcept {
  const std::size_t header = zstd_coded_header(count);
  std::byte* const begin = dst + header;
  std::byte* to = begin + tree + 6;
  const std::size_t quarter = (count + 3) / 4;
  for (std::size_t k = 0; k < 4; ++k) {
    const std::size_t length = k < 3 ? quarter : count - 3 * quarter;
    const std::size_t bytes = zstd_write_stream(code, literals + k * quarter, length, to);
    if (k < 3) put(begin + tree + 2 * k, static_cast<std::uint16_t>(bytes));
    to += bytes;
  }
  const auto size = static_cast<std::size_t>(to - begin);
  if (size >= count) return nullptr;
  const std::size_t bits_of_size = 10 + 4 * (header - 3);
  const std::uint64_t word = static_cast<std::uint64_t>(kind) | std::uint64_t{header - 2} << 2 |
                             std::uint64_t{count} << 4 | std::uint64_t{size} << (4 + bits_of_size);
  for (std::size_t i = 0; i < header; ++i) dst[i] = static_cast<std::byte>(word >> 8 * i);
  return to;
}

// What coded literals take beside their bits and their code's description.
constexpr std::size_t kZstdStreamsBytes = 11;

// How many bytes literals may take by a code that their reader knows, to be worth its time.
PLEAT_INLINE std::size_t zstd_canned_limit(std::size_t count) noexcept {
  return count - count / 16;
}

// Writes literals by a code of their own; the byte behind them, or null where that does not save
// `gain` 64ths of them, or takes no less than `limit` bytes beside kZstdStreamsBytes.
PLEAT_INLINE std::byte* zstd_write_coded(const std::byte* literals, std::size_t count,
                                         std::size_t gain, std::size_t limit,
                                         ZstdHuffmanLengths& lengths, std::byte* dst) noexcept {
  // A code's description and the streams' ends take this many bytes more at least.
  constexpr std::size_t kBesides = 24;
  const std::uint32_t bits = zstd_huffman_lengths(static_cast<std::uint32_t>(count), lengths);
  if (bits / 8 + kBesides + count * gain / 64 >= count) return nullptr;
  if (bits / 8 >= limit) return nullptr;
  ZstdHuffmanCode code;
  const unsigned log = zstd_huffman_codes(lengths, code);
  const std::size_t tree = zstd_write_huffman(lengths, log, dst + zstd_coded_header(count));
  if (tree == 0 || bits / 8 + tree >= limit) return nullptr;
  return zstd_write_streams(ZstdLiterals::kHuffman, code, tree, literals, count, dst);
}

// Writes the section of literals; the byte behind it. A code of theirs has to save `gain` 64ths of
// them; `canned`, a code that their reader knows, is taken where that is shorter; null where there
// is none. dst has room for twice as many and 256.
[[gnu::noinline]] inline std::byte* zstd_write_literals(const std::byte* literals,
                                                        std::size_t count, std::size_t gain,
                                                        const ZstdHuffmanCode* canned,
                                                        std::byte* dst) noexcept {
  // Fewer than these gain nothing by a code of their own.
  constexpr std::size_t kTooFew = 64;
  std::size_t limit = SIZE_MAX;
  if (count >= kTooFew) {
    ZstdHuffmanLengths lengths;
    zstd_count_literals(literals, count, lengths);
    if (lengths.used == 1) return zstd_write_plain(ZstdLiterals::kRle, literals, count, dst);
    if (canned != nullptr) {
      std::uint32_t bits = 0;
      for (std::size_t i = 0; i < lengths.used; ++i) {
        bits += lengths.counts[i] * (canned->words[lengths.symbols[i]] & 15u);
      }
      limit = bits / 8;
    }
    std::byte* const end = zstd_write_coded(literals, count, gain, limit, lengths, dst);
    if (end != nullptr) return end;
  }
  if (canned != nullptr && limit + kZstdStreamsBytes <= zstd_canned_limit(count)) {
    std::byte* const end =
        zstd_write_streams(ZstdLiterals::kTreeless, *canned, 0, literals, count, dst);
    if (end != nullptr) return end;
  }
  return zstd_write_plain(ZstdLiterals::kRaw, literals, count, dst);
}
