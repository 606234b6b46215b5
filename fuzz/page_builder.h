// SPDX-License-Identifier: MIT OR Apache-2.0
// What fuzz targets for compressors make of their input: numbers, and a page.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/page.h"

namespace pleat::fuzz {

using Page = std::array<std::byte, kPageSize>;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  std::size_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::size_t word() {
    const std::size_t low = byte();
    return low | byte() << 8;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

// Reads the input as steps that each append to the page: bytes as they are, a copy of what is
// there, pseudo-random bytes, or a run. So a few bytes make pages that take many bytes to write.
inline Page build_page(Input& input) {
  Page page = {};
  std::size_t at = 0;
  std::uint32_t random = 1;
  while (!input.empty() && at < page.size()) {
    const std::size_t step = input.byte();
    const std::size_t count =
        std::min(page.size() - at, (step & 4) != 0 ? input.word() % 600 + 1 : (step >> 3) + 1);
    std::size_t distance = (step & 3) == 1 && at > 0 ? input.word() % at + 1 : 1;
    // Half of the copies come from as far as words are apart, as in memory.
    if ((step & 8) != 0 && distance >= 8) distance &= ~std::size_t{7};
    const auto run = (step & 3) == 3 ? static_cast<std::byte>(input.byte()) : std::byte{0};
    for (const std::size_t end = at + count; at < end; ++at) {
      random = random * 1664525 + 1013904223;
      switch (step & 3) {
        case 0:
          page[at] = static_cast<std::byte>(input.byte());
          break;
        case 1:
          if (at > 0) page[at] = page[at - distance];
          break;
        case 2:
          page[at] = static_cast<std::byte>(random >> 24);
          break;
        default:
          page[at] = run;
      }
    }
  }
  return page;
}

}  // namespace pleat::fuzz
