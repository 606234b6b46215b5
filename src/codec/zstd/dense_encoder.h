// SPDX-License-Identifier: MIT OR Apache-2.0
// The working memory of zstd's dense levels, of pages or of groups.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/zstd/encoder.h"

namespace pleat::codec {

// Levels of zstd_compress_dense(): 1 is zstd:9, 2 is zstd:19.
inline constexpr unsigned kZstdDenseLevels = 2;
inline constexpr std::size_t kZstdDenseMinMatch = 3;
inline constexpr unsigned kZstdDenseHashBits = 13;
// Numbers of positions and lengths are read and written in vectors of so many.
inline constexpr std::size_t kZstdDenseLanes = 8;

// Content that repeats `length` bytes of what lies `offset` before it.
struct ZstdMatch {
  std::uint16_t length;
  std::uint16_t offset;
};

// What each thing takes to be told, in 1/256 bits; lengths and offsets with their further bits.
template <std::size_t kBytes>
struct ZstdPrices {
  std::uint32_t literals[256];
  std::uint32_t literal_lengths[kZstdLiteralLengthCodes];  // of each code
  std::uint32_t offsets[kZstdOffsetCodes];                 // of each code
  std::uint32_t match_lengths[kBytes + kZstdDenseLanes];   // of each length
};

// What the cheapest way to a position leaves to those behind it.
struct ZstdStop {
  std::uint16_t literals;  // since the last match
  std::uint16_t repeats[3];
};

template <std::size_t kContentBytes>
struct ZstdDenseEncoderOf : ZstdEncoderOf<kContentBytes, kZstdDenseMinMatch> {
  static constexpr std::size_t kBytes = kContentBytes;
  static constexpr std::size_t kMatches = 8 * kBytes;

  // The position before this one whose first three bytes have the same hash, or -1; and the last
  // one of each hash.
  std::int16_t previous[kBytes];
  std::int16_t heads[std::size_t{1} << kZstdDenseHashBits];
  // Those of position i are [begins[i], begins[i + 1]), each one longer and further away than the
  // one before it.
  ZstdMatch matches[kMatches];
  std::uint32_t begins[kBytes + 1];
  ZstdPrices<kBytes> prices;
  // What the cheapest way to each position takes, and its last step: offset << 16 | length, or 0
  // for a literal.
  std::uint32_t costs[kBytes + kZstdDenseLanes];
  std::uint32_t steps[kBytes + kZstdDenseLanes];
  ZstdStop stops[kBytes + 1];
};
struct ZstdDenseEncoder : ZstdDenseEncoderOf<kPageSize> {};
struct ZstdDenseGroupEncoder : ZstdDenseEncoderOf<kGroupBytes> {};

}  // namespace pleat::codec
