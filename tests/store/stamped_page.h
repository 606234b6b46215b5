// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages that say who wrote them: every word of a sector follows from the sector's first, so that a
// reader can tell a whole sector from a torn one, and a whole page from parts of two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "store/pages.h"

namespace pleat::store {

enum class Shape : std::uint8_t { kSameFilled = 1, kCompressible = 2, kRandom = 3, kMixed = 4 };

// writer (16 bits), sequence (40 bits), shape (8 bits).
using Stamp = std::uint64_t;
inline Stamp make_stamp(unsigned writer, std::uint64_t sequence, Shape shape) {
  return static_cast<Stamp>(writer) << 48 | sequence << 8 | static_cast<Stamp>(shape);
}

// The word at `index` of a sector of this stamp; that at 0 is the stamp itself.
inline std::uint64_t stamped_word(Stamp stamp, std::size_t index) {
  std::uint64_t mixed = (stamp ^ index) * 0x9E3779B97F4A7C15;
  mixed ^= mixed >> 29;
  switch (static_cast<Shape>(stamp & 0xFF)) {
    case Shape::kRandom:
      return index == 0 ? stamp : mixed * 0xBF58476D1CE4E5B9;
    case Shape::kCompressible:
      return index % 4 == 1 ? stamp ^ index : stamp;
    case Shape::kMixed:
      return index % 4 == 1 ? mixed : stamp;
    case Shape::kSameFilled:
      break;
  }
  return stamp;
}

inline void stamp_sectors(std::byte* bytes, std::size_t sectors, Stamp stamp) {
  for (std::size_t at = 0; at < sectors * kSectorSize; at += 8) {
    const std::uint64_t word = stamped_word(stamp, at % kSectorSize / 8);
    std::memcpy(bytes + at, &word, 8);
  }
}

inline TestPage stamped_page(Stamp stamp) {
  TestPage page;
  stamp_sectors(page.data(), kPageSize / kSectorSize, stamp);
  return page;
}

inline Stamp stamp_of(const std::byte* sector) {
  Stamp stamp = 0;
  std::memcpy(&stamp, sector, sizeof(stamp));
  return stamp;
}

// Whether the sector is all of one stamp, or zero.
inline bool sector_is_whole(const std::byte* sector) {
  const Stamp stamp = stamp_of(sector);
  for (std::size_t index = 0; index < kSectorSize / 8; ++index) {
    std::uint64_t word = 0;
    std::memcpy(&word, sector + 8 * index, sizeof(word));
    if (word != (stamp == 0 ? 0 : stamped_word(stamp, index))) return false;
  }
  return true;
}

}  // namespace pleat::store
