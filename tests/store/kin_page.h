// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages that are smaller together: neighbours of one group repeat the same text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>

#include "store/pages.h"

namespace pleat::store {

// Pieces of 8 to 27 bytes of a text of 600 bytes that all pages of a family have; every page of it
// is another.
inline TestPage kin_page(std::uint64_t family, std::uint64_t seed) {
  constexpr std::size_t kTextBytes = 600;
  const TestPage text = random_page(family);
  TestPage page;
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < kPageSize;) {
    const std::size_t length = std::min<std::size_t>(8 + random() % 20, kPageSize - at);
    std::memcpy(page.data() + at, text.data() + random() % (kTextBytes - 27), length);
    at += length;
  }
  return page;
}

// The same in few instructions for a codec: the family's first bytes, then bytes of a kind.
inline TestPage sparse_kin_page(std::uint64_t family, std::uint64_t seed, std::size_t bytes) {
  TestPage page = mixed_page(family, bytes);
  std::memcpy(page.data() + bytes, &seed, sizeof(seed));
  return page;
}

}  // namespace pleat::store
