// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages that are smaller together: neighbours of one group repeat the same text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "store/pages.h"
#include "store/wordy_page.h"

namespace pleat::store {

// Pieces of a text that all pages of a family have; every page of it is another.
inline TestPage kin_page(std::uint64_t family, std::uint64_t seed) {
  TestPage page;
  put_pieces(random_page(family), seed, kPageSize, page);
  return page;
}

// One that has little in common with its family: together they are shorter by a sixth or so.
inline TestPage cousin_page(std::uint64_t family, std::uint64_t seed) {
  TestPage page = wordy_page(seed, kPageSize);
  put_pieces(random_page(family), seed, kPageSize / 8, page);
  return page;
}

// The same in few instructions for a codec: the family's first bytes, then bytes of a kind.
inline TestPage sparse_kin_page(std::uint64_t family, std::uint64_t seed, std::size_t bytes) {
  TestPage page = mixed_page(family, bytes);
  std::memcpy(page.data() + bytes, &seed, sizeof(seed));
  return page;
}

}  // namespace pleat::store
