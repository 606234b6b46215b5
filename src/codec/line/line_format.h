// SPDX-License-Identifier: MIT OR Apache-2.0
// The constants of the line format (docs/formats/line.md), and the working memory of a compressor.
//
// A page is 64 lines of 8 words of 8 bytes. A line has one reference, the 64 bytes at a distance d
// before it. A word is coded by a symbol of 4 bits: which reference it has, zeros or the word at
// its place in the reference line, and which of its bytes are replaced by raw ones.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/page.h"

namespace pleat::codec {

inline constexpr std::size_t kLineBytes = 64;
inline constexpr std::size_t kLines = kPageSize / kLineBytes;
inline constexpr std::size_t kLineWords = 8;

// Three bitmaps of a bit a line: the line is not all zeros; its distance has its ninth bit set; it
// has no distance of its own.
inline constexpr std::size_t kLineBitmapsBytes = 3 * 8;
// Line 0 never has a distance of its own.
inline constexpr std::size_t kLineHeaderMax =
    kLineBitmapsBytes + (kLines - 1) + kLines * 4 + kLines * kLineWords;
// The largest block of a page: symbol 1 is never worse than the raw word, so own masks save bytes.
inline constexpr std::size_t kLineBound = kLineBitmapsBytes + (kLines - 1) + kLines * 4 + kPageSize;

// Symbols kLineOwnZero and kLineOwnReference are followed by a mask byte in the block.
inline constexpr unsigned kLineSymbols = 16;
inline constexpr unsigned kLineOwnZero = 14;
inline constexpr unsigned kLineOwnReference = 15;
// Of a symbol: bit b set: byte b of the word is raw.
inline constexpr std::array<std::uint8_t, kLineSymbols> kLineSymbolMask = {
    0x00, 0xFF, 0x00, 0x01, 0x03, 0x77, 0x07, 0x3F, 0x0F, 0x7F, 0x10, 0x33, 0x02, 0xF7, 0x00, 0x00};
// Bit s set: the reference of symbol s is the reference line, not zeros.
inline constexpr std::uint16_t kLineSymbolReference = 0b1010'1111'1111'1100;

// For a word whose bytes under `mask` differ from its reference: the cheapest symbol with that
// reference, as cost << 4 | symbol. The cost is the number of bytes in the block besides the
// symbol.
constexpr std::uint8_t line_symbol(unsigned mask, bool reference) {
  unsigned best = 0xFF;
  for (unsigned symbol = 0; symbol < kLineSymbols; ++symbol) {
    // Symbol 1 replaces the whole word, so its reference does not matter.
    if (((kLineSymbolReference >> symbol & 1) != 0) != reference && symbol != 1) continue;
    const bool own = symbol >= kLineOwnZero;
    if (!own && (mask & ~unsigned{kLineSymbolMask[symbol]}) != 0) continue;
    const int bytes = own ? 1 + std::popcount(mask) : std::popcount(kLineSymbolMask[symbol]);
    const unsigned key = static_cast<unsigned>(bytes) << 4 | symbol;
    if (key < best) best = key;
  }
  return static_cast<std::uint8_t>(best);
}

struct LineSymbolTables {
  // Indexed by the mask.
  alignas(64) std::array<std::uint8_t, 256> zero;
  alignas(64) std::array<std::uint8_t, 256> reference;
};
inline constexpr LineSymbolTables kLineSymbolOf = [] {
  LineSymbolTables tables{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    tables.zero[mask] = line_symbol(mask, false);
    tables.reference[mask] = line_symbol(mask, true);
  }
  return tables;
}();

// By the byte of two symbols, of word i in the low half and of word i + 4 in the high one: their
// masks, in the bytes 0 and 4; and the bits 0 and 4 where they refer to the reference line. Own
// masks are 0 here.
struct LineSymbolPairs {
  alignas(64) std::array<std::uint64_t, 256> masks;
  alignas(64) std::array<std::uint8_t, 256> references;
};
inline constexpr LineSymbolPairs kLineSymbolPairs = [] {
  LineSymbolPairs pairs{};
  for (unsigned pair = 0; pair < 256; ++pair) {
    const unsigned low = pair & 15;
    const unsigned high = pair >> 4;
    pairs.masks[pair] = kLineSymbolMask[low] | std::uint64_t{kLineSymbolMask[high]} << 32;
    pairs.references[pair] = static_cast<std::uint8_t>((kLineSymbolReference >> low & 1) |
                                                       (kLineSymbolReference >> high & 1) << 4);
  }
  return pairs;
}();

// Distances are written as `near`: distance / 8 - 8, from 0 to 8 * line - 8.
inline constexpr unsigned kLineDistanceBits = 9;

// For vectors: the numbers of lines; the largest `near` of each; and 0x80 where a symbol's
// reference is the reference line.
alignas(64) inline constexpr std::array<std::uint8_t, kLines> kLineNumbers = [] {
  std::array<std::uint8_t, kLines> numbers{};
  for (std::size_t line = 0; line < kLines; ++line) numbers[line] = static_cast<std::uint8_t>(line);
  return numbers;
}();
alignas(64) inline constexpr std::array<std::uint16_t, kLines> kLineNearMax = [] {
  std::array<std::uint16_t, kLines> near{};
  for (std::size_t line = 1; line < kLines; ++line) {
    near[line] = static_cast<std::uint16_t>(kLineWords * (line - 1));
  }
  return near;
}();
alignas(16) inline constexpr std::array<std::uint8_t, kLineSymbols> kLineIsReference = [] {
  std::array<std::uint8_t, kLineSymbols> bytes{};
  for (unsigned symbol = 0; symbol < kLineSymbols; ++symbol) {
    bytes[symbol] = static_cast<std::uint8_t>((kLineSymbolReference >> symbol & 1) << 7);
  }
  return bytes;
}();

// The compressor looks for a line's reference by the hashes of some of its words.
inline constexpr unsigned kLineHashBits = 10;
inline constexpr unsigned kLineHashShift = 13;
// Factors of the 16-bit quarters of a word, the lowest first: a word's low 16 bits change most from
// one to the next (pointers, lengths), so they do not count.
inline constexpr std::array<std::int16_t, 4> kLineHashFactors = {0, 0x2C6D, 0x5A35, 0x3B97};
// What the hash table holds where nothing was entered: the last word of line 0, so that the
// reference which starts as many words earlier as the probe is long begins in line 0 too.
inline constexpr std::uint16_t kLineHashEmpty = 7;
// Stands for zero bytes where lines are scored, since a word's zero bytes cost nothing whatever the
// reference: a value that is rare in memory.
inline constexpr std::uint8_t kLineScoreZero = 0xA7;

// Which words of a line are looked up, by level.
inline constexpr unsigned kLineLevels = 5;
inline constexpr unsigned kLineLevelDefault = 3;
inline constexpr std::array<std::uint8_t, kLineLevels + 1> kLineProbes = {
    0, 0b0001'0001, 0b0101'0101, 0b0110'1101, 0b0111'0111, 0b1111'1111};

// How many lines the tiers of AVX2 and AVX-512 take through all steps that choose references before
// they look at the next ones, which meanwhile come from memory.
inline constexpr std::size_t kLineChunk = 16;
static_assert(kLines % kLineChunk == 0 && kLineChunk % 8 == 0);

struct LineWorkspace {
  // By hash: where in the page, in words, a word with this hash was last.
  alignas(64) std::uint16_t positions[std::size_t{1} << kLineHashBits];
  alignas(64) std::uint16_t hashes[kLines][kLineWords];
  // By candidate and line: the candidate's `near`, and which bytes of the line it lacks. The first
  // two candidates are the lines at the distances 64 and 128.
  alignas(64) std::uint16_t near[2 + kLineWords][kLines];
  alignas(64) std::uint64_t differs[2 + kLineWords][kLines];
  // By line: the bytes that are not zero, and those that differ from the reference.
  alignas(64) std::uint64_t not_zero[kLines];
  alignas(64) std::uint64_t not_reference[kLines];
  alignas(64) std::uint16_t chosen[kLines];  // `near` of the reference
  alignas(64) std::uint64_t raw[kLines];     // the bytes to write
  alignas(64) std::byte symbols[kLines * 4 + kLineBytes];
  alignas(64) std::byte own[kLines * kLineWords + kLineBytes];
  // The block is built here where its destination has no room for stores of whole vectors.
  alignas(64) std::byte block[kLineBound + kLineBytes];
};
static_assert(sizeof(LineWorkspace) <= 64 * 1024);

}  // namespace pleat::codec
