// SPDX-License-Identifier: MIT OR Apache-2.0
// A decoder of LZ4 blocks written for comparison only: one byte at a time, every rule in the order
// of docs/formats/lz4.md, no fast path.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace pleat::reference {

struct Lz4Block {
  // Null if the block is one page, or so many bytes, by all rules; else the rule it breaks.
  const char* error = nullptr;
  std::vector<std::byte> page;
  // Of the sequences before the error.
  std::size_t sequence_count = 0;
};

Lz4Block decode_lz4(std::span<const std::byte> block, std::size_t bytes = 4096);

}  // namespace pleat::reference
