// SPDX-License-Identifier: MIT OR Apache-2.0
// Constants for matches that overlap themselves: a match of offset n repeats its first n bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pleat::codec {

// For vectors of 16 bytes and n from 1 to 16.
struct Repeat16 {
  // index[n][i] = i modulo n: a shuffle by it repeats the first n bytes; n = 16 changes nothing.
  alignas(16) std::uint8_t index[17][16] = {};
  // The largest multiple of n in 16: where the next copy of such a vector continues.
  std::uint8_t step[17] = {};

  constexpr Repeat16() {
    for (unsigned n = 1; n <= 16; ++n) {
      for (unsigned i = 0; i < 16; ++i) index[n][i] = static_cast<std::uint8_t>(i % n);
      step[n] = static_cast<std::uint8_t>(16 - 16 % n);
    }
  }
};
inline constexpr Repeat16 kRepeat16;

// For integers of 8 bytes and n from 1 to 8.
struct Repeat8 {
  // The first n bytes, times the sum of 2^(8 n k) for all k, repeat.
  std::uint64_t mask[9] = {};
  std::uint64_t factor[9] = {};
  // The largest multiple of n in 8.
  std::uint8_t step[9] = {};
  // The smallest multiple of n that is at least 8: 8 bytes that begin 8 behind the start of the
  // match are found at this distance, written completely.
  std::uint8_t distance[9] = {};

  constexpr Repeat8() {
    for (unsigned n = 1; n <= 8; ++n) {
      mask[n] = ~std::uint64_t{0} >> (64 - 8 * n);
      for (unsigned shift = 0; shift < 64; shift += 8 * n) factor[n] |= std::uint64_t{1} << shift;
      step[n] = static_cast<std::uint8_t>(8 - 8 % n);
      distance[n] = static_cast<std::uint8_t>((8 + n - 1) / n * n);
    }
  }
};
inline constexpr Repeat8 kRepeat8;

}  // namespace pleat::codec
