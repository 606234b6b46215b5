// SPDX-License-Identifier: MIT OR Apache-2.0
// The working memory of a zstd decoder: the tables of the block at hand and of those before it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "codec/zstd/zstd_format.h"

namespace pleat::codec {

// One state of an FSE table of sequence codes: the code's meaning, and where it goes next.
struct ZstdSequenceEntry {
  std::uint8_t bits;       // that are read
  std::uint8_t next_bits;  // of these the next state's, which are read last
  std::uint16_t next;      // state, without what is read
  std::uint32_t base;      // what the code stands for, without what is read
};
static_assert(sizeof(ZstdSequenceEntry) == 8);

// What the next kZstdHuffmanLogMax bits, or fewer, begin with: how many bits (lowest 8), by which a
// word can be shifted as it is, and the symbol (highest 8).
using ZstdHuffmanEntry = std::uint16_t;

template <typename Entry>
struct ZstdTable {
  const Entry* entries = nullptr;  // null: there is none yet
  unsigned log = 0;
};

// Memory for one of each table.
struct ZstdTableMemory {
  alignas(64) ZstdSequenceEntry literal_lengths[1 << kZstdLiteralLengthLogMax];
  alignas(64) ZstdSequenceEntry match_lengths[1 << kZstdMatchLengthLogMax];
  alignas(64) ZstdSequenceEntry offsets[1 << kZstdOffsetLogMax];
  alignas(64) ZstdHuffmanEntry huffman[1 << kZstdHuffmanLogMax];
};

// The tables in force, and the last offsets: what a block may take over from the one before it, and
// the first one from a dictionary.
struct ZstdState {
  ZstdTable<ZstdSequenceEntry> literal_lengths;
  ZstdTable<ZstdSequenceEntry> match_lengths;
  ZstdTable<ZstdSequenceEntry> offsets;
  ZstdTable<ZstdHuffmanEntry> huffman;
  std::array<std::uint32_t, 3> repeats = kZstdRepeatOffsets;
};

// How much may be read and written behind literals, for copies of a fixed size.
inline constexpr std::size_t kZstdLiteralSlack = 32;

// Left as it is when it is made: a block writes what it reads. Some 31 KiB, of which a page's block
// touches what it needs.
struct ZstdDecoder {
  ZstdState state;
  ZstdTableMemory memory;
  alignas(64) std::byte literals[kZstdBytesMax + kZstdLiteralSlack];
};

// Where a block's bytes go, and what its matches may reach back to.
struct ZstdOutput {
  std::byte* begin;  // of the frame
  std::byte* at;     // of the block; behind it when it is decoded
  std::byte* end;
  std::span<const std::byte> dictionary = {};  // ends where the frame begins
  // Where this is reached the block may end: what it holds behind is not judged. Null: nowhere.
  const std::byte* enough = nullptr;
};

}  // namespace pleat::codec
