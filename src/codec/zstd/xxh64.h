// SPDX-License-Identifier: MIT OR Apache-2.0
// The checksum of zstd frames: XXH64 (RFC 8878, 3.1.1; the algorithm's own specification is
// github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace pleat::codec {

inline std::uint64_t xxh64(std::span<const std::byte> bytes) noexcept {
  constexpr std::uint64_t kPrime[5] = {0x9e3779b185ebca87, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
                                       0x85ebca77c2b2ae63, 0x27d4eb2f165667c5};
  const auto round = [&](std::uint64_t lane, std::uint64_t word) {
    return std::rotl(lane + word * kPrime[1], 31) * kPrime[0];
  };
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t hash = kPrime[4];
  if (left >= 32) {
    std::uint64_t lanes[4] = {kPrime[0] + kPrime[1], kPrime[1], 0, 0 - kPrime[0]};
    for (; left >= 32; left -= 32) {
      for (std::uint64_t& lane : lanes) {
        lane = round(lane, load_u64(at));
        at += 8;
      }
    }
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) +
           std::rotl(lanes[3], 18);
    for (const std::uint64_t lane : lanes) hash = (hash ^ round(0, lane)) * kPrime[0] + kPrime[3];
  }
  hash += bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    hash = std::rotl(hash ^ round(0, load_u64(at)), 27) * kPrime[0] + kPrime[3];
  }
  if (left >= 4) {
    hash = std::rotl(hash ^ load_u32(at) * kPrime[0], 23) * kPrime[1] + kPrime[2];
    at += 4;
    left -= 4;
  }
  for (; left > 0; --left, ++at) {
    hash = std::rotl(hash ^ static_cast<std::uint64_t>(*at) * kPrime[4], 11) * kPrime[0];
  }
  hash = (hash ^ hash >> 33) * kPrime[1];
  hash = (hash ^ hash >> 29) * kPrime[2];
  return hash ^ hash >> 32;
}

}  // namespace pleat::codec
