// SPDX-License-Identifier: MIT OR Apache-2.0
// Canned tables: those of a dictionary, which a block is written by without telling them, and which
// its reader has already. docs/formats/zstd.md says what they are good for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/zstd/encoder.h"

namespace pleat::codec {

// How many codes of each kind a page may have, the first ones of all: its literals and its matches
// are shorter than it is, and an offset is told as three more than it is.
inline constexpr std::size_t kZstdPageLiteralLengthCodes = 31;
inline constexpr std::size_t kZstdPageMatchLengthCodes = 48;
inline constexpr std::size_t kZstdPageOffsetCodes = 13;
static_assert(kZstdLiteralLengths[kZstdPageLiteralLengthCodes].base == kPageSize);
static_assert(kZstdMatchLengths[kZstdPageMatchLengthCodes].base > kPageSize - 1);
static_assert(zstd_offset_code(kZstdPageOffsetCodes).base > kPageSize + 3);

template <std::size_t kCodes>
struct ZstdCannedTable {
  ZstdWriteTable table;
  std::uint16_t costs[kCodes];  // what each code takes, in 1/256 bits
};

// Tables to write by. Each has all symbols that a page may have, so that every page can be written
// by them.
struct ZstdCannedTables {
  ZstdHuffmanCode huffman;
  ZstdCannedTable<kZstdLiteralLengthCodes> literal_lengths;
  ZstdCannedTable<kZstdMatchLengthCodes> match_lengths;
  ZstdCannedTable<kZstdOffsetCodes> offsets;
};

// Which tables pages are written by.
enum class ZstdTables : std::uint8_t {
  kOwn,     // each block tells its own
  kCanned,  // canned ones, which take the least time
  kMixed,   // whichever are shortest
};

// How a dictionary's tables are spread: how many bits each byte takes, and how many states of all
// each code has.
struct ZstdShapes {
  std::uint8_t huffman_bits[256];
  std::int16_t literal_lengths[kZstdPageLiteralLengthCodes];
  std::int16_t match_lengths[kZstdPageMatchLengthCodes];
  std::int16_t offsets[kZstdPageOffsetCodes];
};

// The most bytes that they are described in.
inline constexpr std::size_t kZstdShapesBound = 512;

// How many sequences and literals a page is.
struct ZstdParse {
  std::size_t sequences;
  std::size_t literals;
};

}  // namespace pleat::codec
