// SPDX-License-Identifier: MIT OR Apache-2.0
// The check of stored bytes: a 64-bit hash that finds flipped bits, not a defence against an
// adversary, in the time in which memory delivers the bytes.
//
// Two 8-byte words are multiplied to 128 bits whose halves are folded together by exclusive or, the
// construction of the wyhash family. A chain of multiplications has a latency of about six cycles a
// step, so eight chains run side by side: 128 bytes a round. The last round overlaps the one before
// instead of being padded, and the length is part of the seed.
//
// A flipped bit changes exactly one chain (or, in the overlap, two), and the chains are joined by
// exclusive or, so it is lost only where a product happens to fold to the same value: 2^-64 a word.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace pleat::store {

__extension__ using Uint128 = unsigned __int128;

[[gnu::always_inline]] inline std::uint64_t multiply_fold(std::uint64_t a,
                                                          std::uint64_t b) noexcept {
  const Uint128 product = static_cast<Uint128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Odd constants without structure: fractional parts of the square roots of the primes 2 to 23 (the
// initial values of SHA-512, FIPS 180-4 section 5.3.5), with bit 0 set.
inline constexpr std::array<std::uint64_t, 9> kCheckKeys = {
    0x6a09e667f3bcc909, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b, 0x5be0cd19137e2179, 0xcbbb9d5dc1059ed9};

// Hash of `size` bytes; `seed` is whatever else they belong to. Reads nothing outside them.
inline std::uint64_t check_bytes(const std::byte* bytes, std::size_t size,
                                 std::uint64_t seed) noexcept {
  constexpr std::size_t kLanes = 8;
  constexpr std::size_t kRound = kLanes * 16;
  const std::uint64_t start = multiply_fold(seed ^ kCheckKeys[8], size ^ kCheckKeys[0]);
  std::uint64_t sum = start;
  if (size >= kRound) {
    std::array<std::uint64_t, kLanes> lanes;
    for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = start + kCheckKeys[i];
    const auto round = [&lanes](const std::byte* at) {
#pragma GCC unroll 8
      for (std::size_t i = 0; i < kLanes; ++i) {
        lanes[i] = multiply_fold(load_u64(at + 16 * i) ^ lanes[i],
                                 load_u64(at + 16 * i + 8) ^ kCheckKeys[i]);
      }
    };
    const std::byte* const last = bytes + size - kRound;
    for (const std::byte* at = bytes; at < last; at += kRound) round(at);
    round(last);
    for (const std::uint64_t lane : lanes) sum ^= lane;
  } else if (size >= 16) {
    const std::byte* const last = bytes + size - 16;
    for (const std::byte* at = bytes; at < last; at += 16) {
      sum = multiply_fold(load_u64(at) ^ sum, load_u64(at + 8) ^ kCheckKeys[1]);
    }
    sum = multiply_fold(load_u64(last) ^ sum, load_u64(last + 8) ^ kCheckKeys[2]);
  } else {
    std::array<std::byte, 16> padded{};
    std::memcpy(padded.data(), bytes, size);
    sum = multiply_fold(load_u64(padded.data()) ^ sum, load_u64(padded.data() + 8) ^ kCheckKeys[1]);
  }
  return multiply_fold(sum ^ kCheckKeys[3], kCheckKeys[4]);
}

}  // namespace pleat::store
