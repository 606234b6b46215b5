// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages that a codec which searches longer makes smaller.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <random>

#include "store/pages.h"

namespace pleat::store {

// Puts pieces of 8 to 27 bytes from the first 600 of `text` in the first `bytes` of the page, so
// that a place further back often matches for longer than the last one.
inline void put_pieces(const TestPage& text, std::uint64_t seed, std::size_t bytes,
                       TestPage& page) {
  constexpr std::size_t kTextBytes = 600;
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < bytes;) {
    const std::size_t length = std::min<std::size_t>(8 + random() % 20, bytes - at);
    std::memcpy(page.data() + at, text.data() + random() % (kTextBytes - 27), length);
    at += length;
  }
}

// Of `bytes` bytes, behind which the page is random.
inline TestPage wordy_page(std::uint64_t seed, std::size_t bytes) {
  TestPage page = random_page(seed + 2);
  put_pieces(random_page(seed + 1), seed, bytes, page);
  return page;
}

// Pointers to places near each other.
inline TestPage pointer_page(std::uint64_t seed) {
  TestPage page;
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < kPageSize; at += 8) {
    const std::uint64_t pointer = 0x0000'7F12'3450'0000 + random() % 65'536;
    std::memcpy(page.data() + at, &pointer, sizeof(pointer));
  }
  return page;
}

}  // namespace pleat::store
