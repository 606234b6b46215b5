// SPDX-License-Identifier: MIT OR Apache-2.0
// What literals, lengths and offsets take to be told, by which zstd's dense levels choose. Included
// by isa/*.cpp inside their target region.

// Before anything is known: a literal, and a code of a literal length, a match length and an
// offset, in bits. Which parse is found depends on where the search for it begins; these lead to
// shorter ones than what a faster search found.
struct ZstdSeed {
  unsigned literal;
  unsigned code;
};
constexpr ZstdSeed kZstdDenseSeeds[] = {{6, 3}, {4, 3}};

// price_of(i): what code i takes without its further bits.
template <std::size_t kCodes, typename PriceOf>
PLEAT_INLINE void zstd_price_codes(const std::array<ZstdCode, kCodes>& codes,
                                   std::uint32_t (&prices)[kCodes],
                                   const PriceOf& price_of) noexcept {
  for (std::size_t i = 0; i < kCodes; ++i) prices[i] = price_of(i) + codes[i].extra_bits * 256u;
}

template <std::size_t kBytes, typename OfLiteralLength, typename OfMatchLength, typename OfOffset>
PLEAT_INLINE void zstd_price_sequences(ZstdPrices<kBytes>& prices,
                                       const OfLiteralLength& of_literal_length,
                                       const OfMatchLength& of_match_length,
                                       const OfOffset& of_offset) noexcept {
  zstd_price_codes(kZstdLiteralLengths, prices.literal_lengths, of_literal_length);
  for (std::size_t i = 0; i < kZstdOffsetCodes; ++i) {
    prices.offsets[i] = of_offset(i) + static_cast<std::uint32_t>(i) * 256;
  }
  std::uint32_t match_lengths[kZstdMatchLengthCodes];
  zstd_price_codes(kZstdMatchLengths, match_lengths, of_match_length);
  for (std::size_t i = 0; i < kZstdMatchLengthCodes; ++i) {
    const ZstdCode code = kZstdMatchLengths[i];
    const std::size_t end = code.base + (std::size_t{1} << code.extra_bits);
    for (std::size_t length = code.base; length < std::min(end, kBytes + 1); ++length) {
      prices.match_lengths[length] = match_lengths[i];
    }
  }
}

template <std::size_t kBytes>
PLEAT_INLINE void zstd_price_by_seed(const ZstdSeed& seed, ZstdPrices<kBytes>& prices) noexcept {
  std::ranges::fill(prices.literals, seed.literal * 256);
  const auto of_code = [&seed](std::size_t) { return seed.code * 256; };
  zstd_price_sequences(prices, of_code, of_code, of_code);
}

// By what a parse came to: encoder.sequences and encoder.literals, and whether these were left as
// they are.
template <std::size_t kBytes>
PLEAT_INLINE void zstd_price_by_parse(const ZstdFound& found, bool are_raw,
                                      ZstdDenseEncoderOf<kBytes>& encoder) noexcept {
  ZstdPrices<kBytes>& prices = encoder.prices;
  if (are_raw) {
    std::ranges::fill(prices.literals, 8 * 256);
  } else {
    ZstdHuffmanLengths lengths;
    zstd_count_literals(encoder.literals, found.literals, lengths);
    const std::uint32_t total = zstd_log2(static_cast<std::uint32_t>(found.literals) + 1);
    // One that did not come would make the code's description longer, too.
    std::ranges::fill(prices.literals, total + 2 * 256);
    for (std::size_t i = 0; i < lengths.used; ++i) {
      prices.literals[lengths.symbols[i]] =
          std::max<std::uint32_t>(total - zstd_log2(lengths.counts[i]), 256);
    }
  }
  ZstdCodeCounts counts;
  zstd_count_codes(encoder, found.sequences, counts);
  const std::uint32_t total = zstd_log2(static_cast<std::uint32_t>(found.sequences) + 1);
  const auto by = [total](const std::uint16_t* count) {
    return [total, count](std::size_t code) {
      return count[code] != 0 ? total - zstd_log2(count[code]) : total;
    };
  };
  zstd_price_sequences(prices, by(counts.literal_lengths), by(counts.match_lengths),
                       by(counts.offsets));
}
