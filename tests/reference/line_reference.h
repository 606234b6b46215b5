// SPDX-License-Identifier: MIT OR Apache-2.0
// A decoder of blocks of the line format written for comparison only: one byte at a time, every
// rule in the order of docs/formats/line.md.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace pleat::reference {

struct LineBlock {
  // Null if the block is one page by all rules; else the rule it breaks.
  const char* error = nullptr;
  std::vector<std::byte> page;
};

LineBlock decode_line(std::span<const std::byte> block);

}  // namespace pleat::reference
