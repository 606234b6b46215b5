// SPDX-License-Identifier: MIT OR Apache-2.0
// What a policy that chooses codecs gets to know of a page, from one pass over it.
#pragma once

#include <cstdint>

namespace pleat::gpu {

struct alignas(8) PageFeatures {
  std::uint16_t look;              // codec::PageLook, of the same samples as on a CPU
  std::uint16_t zero_bytes;        // of 4096
  std::uint16_t zero_words;        // words of 8 bytes, of 512
  std::uint16_t repeated_words;    // words equal to the one 64 bytes before, of 504
  std::uint16_t high_nibbles[16];  // bytes by their 4 high bits, of 4096

  bool operator==(const PageFeatures&) const = default;
};
static_assert(sizeof(PageFeatures) == 40);

}  // namespace pleat::gpu
