// SPDX-License-Identifier: MIT OR Apache-2.0
// The line format with words of 8 bytes: the tier without requirements, and what every other tier's
// blocks are equal to.
#include "codec/line/walk.inl"

// Bit 0 of each byte that is not zero.
PLEAT_INLINE std::uint64_t line_not_zero(std::uint64_t word) noexcept {
  constexpr std::uint64_t kLow7 = 0x7F7F7F7F7F7F7F7F;
  return ((((word & kLow7) + kLow7) | word) & ~kLow7) >> 7;
}

// A bit a byte that is not zero: byte i to bit i.
PLEAT_INLINE std::uint64_t line_byte_mask(std::uint64_t word) noexcept {
  return line_not_zero(word) * 0x0102040810204080 >> 56;
}

PLEAT_INLINE std::uint64_t line_differs(const std::byte* line,
                                        const std::byte* reference) noexcept {
  std::uint64_t mask = 0;
  for (unsigned word = 0; word < kLineWords; ++word) {
    mask |= line_byte_mask(load_u64(line + 8 * word) ^ load_u64(reference + 8 * word)) << 8 * word;
  }
  return mask;
}

PLEAT_INLINE std::uint16_t line_hash(std::uint64_t word) noexcept {
  std::uint32_t sum = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const auto quarter = static_cast<std::int16_t>(word >> 16 * i);
    sum += static_cast<std::uint32_t>(quarter * kLineHashFactors[i]);
  }
  return static_cast<std::uint16_t>(sum >> kLineHashShift & ((1u << kLineHashBits) - 1));
}

// 16 bytes in whatever registers the compiler has: the baselines of x86-64 and arm64 have some.
using LineVec = std::int8_t __attribute__((vector_size(16)));

// Where lines are scored, a line's zeros are replaced.
PLEAT_INLINE void line_replace_zeros(const std::byte* line, LineVec* scored) noexcept {
  for (unsigned i = 0; i < 4; ++i) {
    const auto bytes = load<LineVec>(line + 16 * i);
    scored[i] = bytes | ((bytes == 0) & static_cast<std::int8_t>(kLineScoreZero));
  }
}

// Bytes that differ, from 0 to 64.
PLEAT_INLINE unsigned line_score(const LineVec* scored, const std::byte* reference) noexcept {
  LineVec same = {};
  for (unsigned i = 0; i < 4; ++i) same -= scored[i] == load<LineVec>(reference + 16 * i);
  std::uint64_t halves[2];
  std::memcpy(halves, &same, sizeof(halves));
  return 64 - static_cast<unsigned>((halves[0] + halves[1]) * 0x0101010101010101 >> 56);
}

// The first run of bits of a mask of 8 that is not 0.
struct LineRun {
  unsigned begin;
  unsigned length;
};
PLEAT_INLINE LineRun line_run(unsigned mask) noexcept {
  const auto begin = static_cast<unsigned>(std::countr_zero(mask));
  return {begin, static_cast<unsigned>(std::countr_one(mask >> begin))};
}

// One pack of symbols: word i of a line in the low half of byte i, word i + 4 in the high half.
PLEAT_INLINE void line_put_symbols(std::byte* to, const std::uint8_t* symbols) noexcept {
  for (unsigned i = 0; i < 4; ++i) {
    to[i] = static_cast<std::byte>(symbols[i] | symbols[i + 4] << 4);
  }
}

template <unsigned kProbes>
PLEAT_INLINE std::size_t line_compress_level(const std::byte* page, std::byte* dst,
                                             std::size_t capacity, LineWorkspace& work) noexcept {
  constexpr unsigned kCandidates = 2 + std::popcount(kProbes);
  std::fill_n(work.positions, std::size(work.positions), kLineHashEmpty);
  for (std::size_t line = 1; line < kLines; ++line) {
    for (std::size_t word = 0; word < kLineWords; ++word) {
      work.hashes[line][word] = line_hash(load_u64(page + kLineBytes * line + 8 * word));
    }
  }
  line_walk<kProbes>(2, kLines, work);

  std::uint64_t not_zero = 0;
  std::uint64_t own_distance = 0;
  std::uint64_t far = 0;
  std::size_t own_count = 0;
  std::size_t raw_bytes = 0;
  std::size_t symbol_bytes = 0;
  for (std::size_t line = 0; line < kLines; ++line) {
    const std::byte* const at = page + kLineBytes * line;
    static constexpr std::byte kZeros[kLineBytes] = {};
    work.not_zero[line] = line_differs(at, kZeros);
    unsigned near = 0;
    if (line >= 2) {
      LineVec scored[4];
      line_replace_zeros(at, scored);
      unsigned best = ~0u;
      for (unsigned candidate = 0; candidate < kCandidates; ++candidate) {
        const unsigned back = candidate == 0   ? 0
                              : candidate == 1 ? unsigned{kLineWords}
                                               : work.near[candidate][line];
        const unsigned score = line_score(scored, at - kLineBytes - 8 * back);
        best = std::min(best, score << kLineDistanceBits | back);
      }
      near = best & ((1u << kLineDistanceBits) - 1);
    }
    work.chosen[line] = static_cast<std::uint16_t>(near);
    const std::uint64_t zero = work.not_zero[line];
    work.raw[line] = 0;
    if (zero == 0) continue;
    not_zero |= std::uint64_t{1} << line;
    const bool repeats =
        line < 2 || ((not_zero >> (line - 1) & 1) != 0 && near == work.chosen[line - 1]);
    if (!repeats) {
      own_distance |= std::uint64_t{1} << line;
      far |= std::uint64_t{near >> 8} << line;
    }
    const std::uint64_t differs =
        line == 0 ? zero : line_differs(at, at - kLineBytes - std::size_t{8} * near);
    std::uint8_t symbols[kLineWords];
    for (unsigned word = 0; word < kLineWords; ++word) {
      const auto zero_mask = static_cast<std::uint8_t>(zero >> 8 * word);
      const auto differ_mask = static_cast<std::uint8_t>(differs >> 8 * word);
      const unsigned symbol =
          std::min(kLineSymbolOf.zero[zero_mask], kLineSymbolOf.reference[differ_mask]) & 15u;
      std::uint8_t raw = kLineSymbolMask[symbol];
      if (symbol >= kLineOwnZero) {
        raw = symbol == kLineOwnZero ? zero_mask : differ_mask;
        work.own[own_count++] = static_cast<std::byte>(raw);
      }
      symbols[word] = static_cast<std::uint8_t>(symbol);
      work.raw[line] |= std::uint64_t{raw} << 8 * word;
    }
    line_put_symbols(work.symbols + symbol_bytes, symbols);
    symbol_bytes += 4;
    raw_bytes += static_cast<std::size_t>(std::popcount(work.raw[line]));
  }

  const auto distances = static_cast<std::size_t>(std::popcount(own_distance));
  const std::size_t total = kLineBitmapsBytes + distances + symbol_bytes + own_count + raw_bytes;
  if (total > capacity) return 0;
  put(dst, not_zero);
  put(dst + 8, far);
  put(dst + 16, ~own_distance);
  std::byte* to = dst + kLineBitmapsBytes;
  for (std::size_t line = 0; line < kLines; ++line) {
    if ((own_distance >> line & 1) != 0) *to++ = static_cast<std::byte>(work.chosen[line] & 0xFF);
  }
  std::memcpy(to, work.symbols, symbol_bytes);
  to += symbol_bytes;
  std::memcpy(to, work.own, own_count);
  to += own_count;
  // Runs of bytes are stored as whole words while there is room for any raw bytes of one.
  const std::byte* const last_store = dst + capacity - 16;
  for (std::size_t i = 0; i < kPageSize; i += 8) {
    auto raw = static_cast<unsigned>(work.raw[i / kLineBytes] >> i % kLineBytes & 0xFF);
    if (to <= last_store) {
      const std::uint64_t word = load_u64(page + i);
      while (raw != 0) {
        const LineRun run = line_run(raw);
        put(to, word >> 8 * run.begin);
        to += run.length;
        raw &= raw + (1u << run.begin);
      }
    } else {
      for (; raw != 0; raw &= raw - 1) {
        *to++ = page[i + static_cast<std::size_t>(std::countr_zero(raw))];
      }
    }
  }
  return total;
}

PLEAT_INLINE bool line_decompress(const std::byte* src, std::size_t size,
                                  std::byte* page) noexcept {
  if (size < kLineBitmapsBytes) return false;
  const std::uint64_t not_zero = load_u64(src);
  const std::uint64_t far = load_u64(src + 8);
  const std::uint64_t repeats = load_u64(src + 16);
  if ((repeats & 1) == 0 || (far & repeats) != 0) return false;
  const std::byte* distance = src + kLineBitmapsBytes;
  const std::size_t distances = kLines - static_cast<std::size_t>(std::popcount(repeats));
  const std::size_t symbol_bytes = 4 * static_cast<std::size_t>(std::popcount(not_zero));
  if (kLineBitmapsBytes + distances + symbol_bytes > size) return false;
  const std::byte* symbols = distance + distances;
  const std::byte* own = symbols + symbol_bytes;
  const std::byte* const end = src + size;

  // The masks first: the raw bytes begin where the own masks end.
  std::uint64_t raw[kLines];
  std::uint64_t from_line[kLines];
  std::size_t raw_bytes = 0;
  for (std::size_t line = 0; line < kLines; ++line) {
    raw[line] = 0;
    from_line[line] = 0;
    if ((not_zero >> line & 1) == 0) continue;
    const std::uint64_t packed = load_u32(symbols);
    for (unsigned i = 0; i < 4; ++i) {
      const auto pair = static_cast<std::uint8_t>(packed >> 8 * i);
      raw[line] |= kLineSymbolPairs.masks[pair] << 8 * i;
      from_line[line] |= std::uint64_t{kLineSymbolPairs.references[pair]} << i;
    }
    // Own masks, of the symbols whose upper three bits are set.
    constexpr std::uint64_t kOnes = 0x0101010101010101;
    const std::uint64_t symbol = packed | packed << 28;
    std::uint64_t owns = symbol >> 1 & symbol >> 2 & symbol >> 3 & kOnes;
    for (; owns != 0; owns &= owns - 1) {
      if (own == end) return false;
      raw[line] |= std::to_integer<std::uint64_t>(*own++) << std::countr_zero(owns);
    }
    symbols += 4;
    raw_bytes += static_cast<std::size_t>(std::popcount(raw[line]));
  }
  if (raw_bytes != static_cast<std::size_t>(end - own)) return false;

  std::size_t near = 0;
  for (std::size_t line = 0; line < kLines; ++line) {
    if ((repeats >> line & 1) == 0) {
      near = std::to_integer<std::size_t>(*distance++) | (far >> line & 1) << 8;
      if (near > kLineWords * (line - 1)) return false;
    }
    std::byte* const at = page + kLineBytes * line;
    // Line 0 has no reference.
    const std::byte* const reference = line == 0 ? at : at - kLineBytes - 8 * near;
    if (line == 0) from_line[0] = 0;
    if ((not_zero >> line & 1) == 0) {
      std::memset(at, 0, kLineBytes);
      continue;
    }
    // A word from the reference keeps all its bytes, one from zeros none.
    const auto referred = [&](unsigned word) {
      return load_u64(reference + 8 * word) & (0 - (from_line[line] >> word & 1));
    };
    if (static_cast<std::size_t>(end - own) >= kLineBytes + 8) [[likely]] {
#pragma GCC unroll 8
      for (unsigned word = 0; word < kLineWords; ++word) {
        const LineSpread& spread = kLineSpread[raw[line] >> 8 * word & 0xFF];
        const std::uint64_t bytes =
            load_u32(own) | std::uint64_t{load_u32(own + spread.lower_count)} << 32;
        own += spread.count;
        const std::uint64_t placed = (bytes & spread.moved[0]) | (bytes & spread.moved[1]) << 8 |
                                     (bytes & spread.moved[2]) << 16 |
                                     (bytes & spread.moved[3]) << 24;
        put(at + 8 * word, (referred(word) & ~spread.raw) | placed);
      }
      continue;
    }
    for (unsigned word = 0; word < kLineWords; ++word) {
      std::uint64_t value = referred(word);
      for (auto mask = static_cast<unsigned>(raw[line] >> 8 * word & 0xFF); mask != 0;
           mask &= mask - 1) {
        const int bit = 8 * std::countr_zero(mask);
        value &= ~(std::uint64_t{0xFF} << bit);
        value |= std::to_integer<std::uint64_t>(*own++) << bit;
      }
      put(at + 8 * word, value);
    }
  }
  return true;
}

#include "codec/line/levels.inl"
