// SPDX-License-Identifier: MIT OR Apache-2.0
// What a batch says of each of its pages: one bad page never fails the others. The values are those
// of include/pleat/pleat_gpu.h.
#pragma once

#include <cstdint>

namespace pleat::gpu {

// kLz4Plain decompresses LZ4 by the other of the two designs, of which a measurement is to choose.
enum class Format : std::uint8_t { kLine, kLz4, kLz4Plain };

// What decompressing a page came to.
enum class PageStatus : std::uint8_t {
  kOk = 0,
  kCorrupt = 1,   // no block of the format, or not of one page; the page's bytes are unspecified
  kTooLarge = 2,  // a block of over 4096 bytes, which the CPU decodes and no kernel makes
  kNoBlock = 3,   // there is none, or its kind is unknown; the page is not written
};

// What a page's block is.
enum class BlockKind : std::uint8_t {
  kBlock = 0,
  kSame = 1,  // an 8-byte word that the page consists of
  kRaw = 2,   // the page does not fit in the capacity: nothing, or all of its bytes as they are
};

}  // namespace pleat::gpu
