// SPDX-License-Identifier: MIT OR Apache-2.0
// LZ4 blocks that no compressor makes: sequence by sequence, and each rule of docs/formats/lz4.md
// kept to the limit and broken by one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/page.h"
#include "codec/lz4/format.h"

namespace pleat::test {

using codec::kMinMatch;
using Block = std::vector<std::byte>;

// Builds blocks sequence by sequence, right or wrong.
class Lz4BlockBuilder {
 public:
  Lz4BlockBuilder& sequence(std::size_t literals, std::size_t offset, std::size_t match) {
    put_literals(literals, match - kMinMatch);
    put(offset & 255);
    put(offset >> 8);
    if (match - kMinMatch >= 15) put_length(match - kMinMatch - 15);
    produced_ += literals + match;
    return *this;
  }
  // The last sequence: as many literals as a page still needs, and `more`.
  Lz4BlockBuilder& last(std::ptrdiff_t more = 0) {
    put_literals(kPageSize - produced_ + static_cast<std::size_t>(more), 0);
    return *this;
  }
  Lz4BlockBuilder& put(std::size_t byte) {
    block_.push_back(static_cast<std::byte>(byte & 255));
    return *this;
  }
  Lz4BlockBuilder& cut(std::size_t bytes) {
    block_.resize(block_.size() - bytes);
    return *this;
  }
  operator Block() const { return block_; }  // NOLINT: implicit on purpose

 private:
  void put_literals(std::size_t literals, std::size_t match_code) {
    put(std::min<std::size_t>(literals, 15) << 4 | std::min<std::size_t>(match_code, 15));
    if (literals >= 15) put_length(literals - 15);
    for (std::size_t i = 0; i < literals; ++i) put(i * 7 + 1);
  }
  void put_length(std::size_t rest) {
    for (; rest >= 255; rest -= 255) put(255);
    put(rest);
  }
  Block block_;
  std::size_t produced_ = 0;
};

// Lengths are short mostly; below these now and then, a match of such length one time in `rarity`.
struct Lz4LongLengths {
  unsigned literals;
  unsigned match;
  unsigned rarity;
};

// Sequences of any kind, mostly right, so that a decoder gets far: one match in a thousand and one
// block in fifty are not.
template <typename Random>
Lz4BlockBuilder random_lz4_block(Random& random, const Lz4LongLengths& lengths) {
  Lz4BlockBuilder builder;
  std::size_t room = kPageSize - 5;
  while (room > 600 || (room > 40 && random() % 4 != 0)) {
    const std::size_t literals = random() % 4 == 0 ? random() % lengths.literals : random() % 8;
    const std::size_t match =
        4 + (random() % lengths.rarity == 0 ? random() % lengths.match : random() % 20);
    if (literals + match > room) break;
    const std::size_t produced = kPageSize - 5 - room + literals;
    if (produced == 0) continue;
    const std::size_t near = 1 + random() % 40;
    std::size_t offset = random() % 2 == 0 ? near : 1 + random() % produced;
    if (random() % 1000 != 0) offset = std::min(offset, produced);
    builder.sequence(literals, offset, match);
    room -= literals + match;
  }
  builder.last(random() % 50 == 0 ? static_cast<std::ptrdiff_t>(random() % 3) - 1 : 0);
  return builder;
}

struct GoldenBlock {
  const char* name;
  Block block;
  // Null for a good block; else what the reference decoder says.
  const char* error;
};

// Pairs of a block that keeps a rule to the limit and one that breaks it by one.
inline std::vector<GoldenBlock> golden_lz4_blocks() {
  using B = Lz4BlockBuilder;
  const std::size_t n = kPageSize;
  const Block literals = B().last();
  Block long_lengths(20'000, std::byte{255});
  Block endless_match = B().sequence(4, 4, 19);
  endless_match.back() = std::byte{255};
  endless_match.insert(endless_match.end(), long_lengths.begin(), long_lengths.end());
  return {
      {"all literals", literals, nullptr},
      {"empty", {}, "the block ends without last literals"},
      {"one literal missing", Block(literals.begin(), literals.end() - 1),
       "the block ends in literals"},
      {"one byte more than the page", B().last(1), "literals behind the page's end"},
      {"one byte less than the page", B().last(-1), "less than a page"},
      {"a byte behind the last literals", B().last().put(0), "a match starts in the last 12 bytes"},
      {"literal length cut off", Block{std::byte{0xf0}}, "the block ends in a literal length"},
      {"literal length without end", long_lengths, "the block ends in a literal length"},

      {"a match", B().sequence(20, 20, 1000).last(), nullptr},
      {"no last literals", B().sequence(20, 20, n - 25).last().cut(6),
       "the block ends without last literals"},
      {"an empty last sequence too early", B().sequence(20, 20, n - 25).last().cut(6).put(0),
       "less than a page"},
      {"offset cut off", B().sequence(20, 20, 18).cut(1), "the block ends in an offset"},
      {"offset missing", B().sequence(20, 20, 18).cut(2), "less than a page"},
      {"match length cut off", B().sequence(20, 20, 19).cut(1), "the block ends in a match length"},
      {"match length without end", endless_match, "the block ends in a match length"},

      {"offset reaches the page's first byte", B().sequence(20, 20, 18).last(), nullptr},
      {"offset reaches before the page", B().sequence(20, 21, 18).last(),
       "an offset reaches before the page"},
      {"offset is zero", B().sequence(20, 0, 18).last(), "an offset is zero"},
      {"offset of a long match is zero", B().sequence(20, 0, 100).last(), "an offset is zero"},
      {"offset in the first bytes of the page", B().sequence(0, 1, 4).last(),
       "an offset reaches before the page"},
      {"largest offset", B().sequence(n - 12, n - 12, 7).last(), nullptr},
      {"offset of 65535", B().sequence(n - 12, 65535, 7).last(),
       "an offset reaches before the page"},

      {"match ends before the last 5 bytes", B().sequence(20, 20, n - 25).last(), nullptr},
      {"match ends in the last 5 bytes", B().sequence(20, 20, n - 24).last(),
       "a match reaches into the last 5 bytes"},
      {"short match ends in the last 5 bytes", B().sequence(n - 12, 20, 8).last(),
       "a match reaches into the last 5 bytes"},
      {"match ends behind the page", B().sequence(20, 20, n).put(0x50),
       "a match reaches into the last 5 bytes"},
      {"match starts 12 bytes before the end", B().sequence(n - 12, 20, 4).last(), nullptr},
      {"match starts 11 bytes before the end", B().sequence(n - 11, 20, 4).last(),
       "a match starts in the last 12 bytes"},
  };
}

}  // namespace pleat::test
