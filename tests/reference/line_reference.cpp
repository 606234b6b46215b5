// SPDX-License-Identifier: MIT OR Apache-2.0
#include "reference/line_reference.h"

#include <array>
#include <optional>

namespace pleat::reference {
namespace {

struct Symbol {
  bool line;  // its reference is the reference line, not zeros
  int mask;   // -1: in the block
};
constexpr std::array<Symbol, 16> kTable = {{{false, 0x00},
                                            {false, 0xFF},
                                            {true, 0x00},
                                            {true, 0x01},
                                            {true, 0x03},
                                            {true, 0x77},
                                            {true, 0x07},
                                            {true, 0x3F},
                                            {true, 0x0F},
                                            {true, 0x7F},
                                            {true, 0x10},
                                            {true, 0x33},
                                            {false, 0x02},
                                            {true, 0xF7},
                                            {false, -1},
                                            {true, -1}}};

class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::optional<unsigned> next() {
    if (at_ == bytes_.size()) return std::nullopt;
    return std::to_integer<unsigned>(bytes_[at_++]);
  }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

LineBlock broken(const char* rule) { return {rule, {}}; }

}  // namespace

LineBlock decode_line(std::span<const std::byte> block) {
  Cursor cursor(block);
  std::array<std::array<bool, 64>, 3> bitmaps{};
  for (auto& bitmap : bitmaps) {
    for (std::size_t byte = 0; byte < 8; ++byte) {
      const auto bits = cursor.next();
      if (!bits) return broken("the bitmaps are cut off");
      for (std::size_t bit = 0; bit < 8; ++bit) bitmap[8 * byte + bit] = (*bits >> bit & 1) != 0;
    }
  }
  const auto& [filled, ninth, inherits] = bitmaps;
  if (!inherits[0]) return broken("line 0 has a distance");

  std::array<std::size_t, 64> distance{};
  std::size_t current = 64;
  for (std::size_t line = 0; line < 64; ++line) {
    if (inherits[line]) {
      if (ninth[line]) return broken("a ninth bit without a distance");
    } else {
      const auto low = cursor.next();
      if (!low) return broken("the distances are cut off");
      current = 8 * ((ninth[line] ? 256u : 0u) + *low + 8);
      if (current > 64 * line) return broken("a distance beyond the page's start");
    }
    distance[line] = current;
  }

  std::array<std::array<unsigned, 8>, 64> symbols{};
  for (std::size_t line = 0; line < 64; ++line) {
    if (!filled[line]) continue;
    for (std::size_t i = 0; i < 4; ++i) {
      const auto pair = cursor.next();
      if (!pair) return broken("the symbols are cut off");
      symbols[line][i] = *pair & 15;
      symbols[line][i + 4] = *pair >> 4;
    }
  }
  std::array<std::array<unsigned, 8>, 64> masks{};
  for (std::size_t line = 0; line < 64; ++line) {
    for (std::size_t word = 0; word < 8; ++word) {
      const int mask = kTable[symbols[line][word]].mask;
      if (mask >= 0) {
        masks[line][word] = static_cast<unsigned>(mask);
        continue;
      }
      const auto own = cursor.next();
      if (!own) return broken("the own masks are cut off");
      masks[line][word] = *own;
    }
  }

  LineBlock result;
  for (std::size_t line = 0; line < 64; ++line) {
    for (std::size_t word = 0; word < 8; ++word) {
      const bool copies = kTable[symbols[line][word]].line && line != 0;
      for (std::size_t byte = 0; byte < 8; ++byte) {
        if ((masks[line][word] >> byte & 1) != 0) {
          const auto raw = cursor.next();
          if (!raw) return broken("the raw bytes are cut off");
          result.page.push_back(static_cast<std::byte>(*raw));
        } else {
          const std::size_t at = result.page.size();
          result.page.push_back(copies ? result.page[at - distance[line]] : std::byte{0});
        }
      }
    }
  }
  if (!cursor.at_end()) return broken("bytes behind the block");
  return result;
}

}  // namespace pleat::reference
