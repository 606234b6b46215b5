// SPDX-License-Identifier: MIT OR Apache-2.0
// What a kernel says of each page of a batch: one bad page never fails the others.
#pragma once

#include <cstdint>

namespace pleat::gpu {

enum class PageStatus : std::uint8_t {
  kOk = 0,
  kCorrupt = 1,   // no block of the format, or not of one page; the page's bytes are unspecified
  kTooLarge = 2,  // a block of over 4096 bytes, which the CPU decodes and no kernel makes
  kRaw = 3,       // compression: does not fit in the capacity; store the page as it is
};

}  // namespace pleat::gpu
