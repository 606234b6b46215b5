// SPDX-License-Identifier: MIT OR Apache-2.0
// Compression of many pages at a time by somebody else, as a GPU, whose driver is in no process
// that a swap device depends on. What comes back may be anything: who uses it decompresses each
// block and compares.
//
// Thread safety: one thread at a time.
#pragma once

#include <cstddef>

#include "codec/page_codec.h"

namespace pleat::codec {

class BatchCompressor {
 public:
  virtual ~BatchCompressor() = default;

  // What decodes its blocks.
  virtual CodecId codec() const noexcept = 0;
  // Pages of a batch at most, at least 1.
  virtual std::size_t pages_max() const noexcept = 0;
  // Where page i of the next batch is to be put.
  virtual std::byte* page(std::size_t i) noexcept = 0;
  // Compresses pages 0 to count - 1. 0 or an errno: there are no blocks then.
  virtual int compress(std::size_t count) noexcept = 0;
  // Copies the block of page i of the last batch to dst and returns its size; 0 where it has none
  // of at most `capacity` bytes.
  virtual std::size_t take_block(std::size_t i, std::byte* dst, std::size_t capacity) noexcept = 0;
};

}  // namespace pleat::codec
