// SPDX-License-Identifier: MIT OR Apache-2.0
#include "reference/lz4_reference.h"

namespace pleat::reference {
namespace {

class Reader {
 public:
  explicit Reader(std::span<const std::byte> block) : block_(block) {}
  bool empty() const { return at_ == block_.size(); }
  bool byte(std::size_t& value) {
    if (empty()) return false;
    value = static_cast<std::size_t>(block_[at_++]);
    return true;
  }
  // A token's half and, where it is 15, the bytes that add to it.
  bool length(std::size_t& value) {
    if (value != 15) return true;
    std::size_t more = 255;
    while (more == 255) {
      if (!byte(more)) return false;
      value += more;
    }
    return true;
  }

 private:
  std::span<const std::byte> block_;
  std::size_t at_ = 0;
};

// Fills the page, which has its size, since a byte appended at a time takes most of a fuzzer's
// time; up to `at`.
const char* decode(Reader in, Lz4Block& out, std::size_t& at) {
  std::byte* const page = out.page.data();
  const std::size_t bytes = out.page.size();
  for (;;) {
    std::size_t token = 0;
    if (!in.byte(token)) return "the block ends without last literals";
    std::size_t literals = token >> 4;
    if (!in.length(literals)) return "the block ends in a literal length";
    for (std::size_t i = 0; i < literals; ++i) {
      std::size_t value = 0;
      if (!in.byte(value)) return "the block ends in literals";
      if (at == bytes) return "literals behind the page's end";
      page[at++] = static_cast<std::byte>(value);
    }
    ++out.sequence_count;
    if (in.empty()) return at == bytes ? nullptr : "less than a page";

    if (at + 12 > bytes) return "a match starts in the last 12 bytes";
    std::size_t low = 0;
    std::size_t high = 0;
    if (!in.byte(low) || !in.byte(high)) return "the block ends in an offset";
    const std::size_t offset = low | high << 8;
    if (offset == 0) return "an offset is zero";
    if (offset > at) return "an offset reaches before the page";
    std::size_t length = token & 15;
    if (!in.length(length)) return "the block ends in a match length";
    length += 4;
    if (at + length + 5 > bytes) return "a match reaches into the last 5 bytes";
    for (std::size_t i = 0; i < length; ++i, ++at) page[at] = page[at - offset];
  }
}

}  // namespace

Lz4Block decode_lz4(std::span<const std::byte> block, std::size_t bytes) {
  Lz4Block result;
  result.page.resize(bytes);
  std::size_t end = 0;
  result.error = decode(Reader(block), result, end);
  result.page.resize(end);
  return result;
}

}  // namespace pleat::reference
