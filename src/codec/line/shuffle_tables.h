// SPDX-License-Identifier: MIT OR Apache-2.0
// Tables for forms of the line format whose vectors move bytes by an index a byte: what compress
// and expand instructions do by a bit a byte elsewhere.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "codec/line/line_format.h"

namespace pleat::codec {

// By mask: the numbers of its bits, the lowest first, and zeros behind them.
alignas(64) inline constexpr auto kLineCompress = [] {
  std::array<std::array<std::uint8_t, 8>, 256> table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    std::size_t count = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
      if ((mask >> bit & 1) != 0) table[mask][count++] = static_cast<std::uint8_t>(bit);
    }
  }
  return table;
}();

// The same for the upper half of 16 bytes, with 8 zeros before: 16 bytes from n before the list on
// are the list behind n zeros, to be joined with n numbers of the lower half.
alignas(64) inline constexpr auto kLineCompressUpper = [] {
  std::array<std::array<std::uint8_t, 32>, 256> table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    std::size_t count = 8;
    for (unsigned bit = 0; bit < 8; ++bit) {
      if ((mask >> bit & 1) != 0) table[mask][count++] = static_cast<std::uint8_t>(8 + bit);
    }
  }
  return table;
}();

// How 16 bytes are put together from raw ones and a reference. A row is that of a word's mask, of
// the second 256 where the word's reference is the reference line. It has 8 zeros; for each byte of
// the word its place among the raw ones, or 0x80 where it comes from zeros and 0xC0 where it comes
// from the reference line; and 8 times the number of raw ones. So 16 bytes of the row of a lower
// word from 8 on, added to the first 16 of the row of an upper word, are the places of both. Bit 7
// makes a shuffle's byte zero, and bit 6 is what tells the reference line.
inline constexpr std::size_t kLineExpandRow = 32;
alignas(64) inline constexpr auto kLineExpand = [] {
  std::array<std::array<std::uint8_t, kLineExpandRow>, 512> table{};
  for (unsigned index = 0; index < 512; ++index) {
    const auto raw = static_cast<std::uint8_t>(std::popcount(index & 255));
    std::uint8_t place = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
      const std::uint8_t other = index < 256 ? 0x80 : 0xC0;
      table[index][8 + bit] = (index >> bit & 1) != 0 ? place++ : other;
      table[index][16 + bit] = raw;
    }
  }
  return table;
}();

// The same for a shuffle that reads two registers and leaves its destination's byte where an index
// is out of their range (tbx): 16 raw bytes and 16 zeros, and the reference line as the
// destination. The row of a lower word has its places and 8 times the number of its raw ones; that
// of an upper word 8 zeros and its places. Places of zeros leave room for such a number to be
// added.
using LineMergeTable = std::array<std::array<std::uint8_t, 16>, 512>;
constexpr LineMergeTable line_merge_table(bool upper) {
  LineMergeTable table{};
  for (unsigned index = 0; index < 512; ++index) {
    std::uint8_t place = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
      const std::uint8_t other = index < 256 ? 16 : 0x80;
      table[index][upper ? 8 + bit : bit] = (index >> bit & 1) != 0 ? place++ : other;
    }
    for (unsigned bit = 0; bit < 8 && !upper; ++bit) table[index][8 + bit] = place;
  }
  return table;
}
alignas(64) inline constexpr LineMergeTable kLineMergeLower = line_merge_table(false);
alignas(64) inline constexpr LineMergeTable kLineMergeUpper = line_merge_table(true);

// By a bit a dword of 16 bytes: the indices that move those dwords to the front, and those that
// move them back and set the others to zero.
struct LineDwordTables {
  alignas(16) std::array<std::array<std::uint8_t, 16>, 16> compress;
  alignas(16) std::array<std::array<std::uint8_t, 16>, 16> expand;
  std::array<std::uint8_t, 16> bytes;  // how many bytes those dwords are
};
alignas(64) inline constexpr LineDwordTables kLineDwords = [] {
  LineDwordTables tables{};
  for (unsigned mask = 0; mask < 16; ++mask) {
    unsigned count = 0;
    tables.compress[mask].fill(0x80);
    tables.expand[mask].fill(0x80);
    for (unsigned dword = 0; dword < 4; ++dword) {
      if ((mask >> dword & 1) == 0) continue;
      for (unsigned byte = 0; byte < 4; ++byte) {
        tables.compress[mask][4 * count + byte] = static_cast<std::uint8_t>(4 * dword + byte);
        tables.expand[mask][4 * dword + byte] = static_cast<std::uint8_t>(4 * count + byte);
      }
      ++count;
    }
    tables.bytes[mask] = static_cast<std::uint8_t>(4 * count);
  }
  return tables;
}();

// The cheapest symbol for a mask of bytes that differ from the reference line, without a table of
// 256: a mask fits in a symbol's where both of its nibbles do, so that the symbols that fit are the
// intersection of two sets, each found by a nibble. Symbols in the order of their cost; the first 8
// in one set, the others in a second.
struct LineFitTables {
  // Sets by the mask's nibble: [set][0 low, 1 high].
  alignas(16) std::array<std::array<std::array<std::uint8_t, 16>, 2>, 2> fits;
  // Cost << 4 | symbol of the cheapest of a set's nibble.
  alignas(16) std::array<std::array<std::uint8_t, 16>, 3> cheapest;
};
alignas(64) inline constexpr LineFitTables kLineFit = [] {
  LineFitTables tables{};
  // Selection by key, since each has another.
  std::array<std::uint8_t, kLineSymbols> keys{};
  std::size_t count = 0;
  for (unsigned symbol = 0; symbol < kLineOwnZero; ++symbol) {
    if ((kLineSymbolReference >> symbol & 1) == 0) continue;
    auto key = static_cast<std::uint8_t>(
        static_cast<unsigned>(std::popcount(kLineSymbolMask[symbol])) << 4 | symbol);
    for (std::size_t i = 0; i < count; ++i) {
      if (keys[i] > key) {
        const std::uint8_t larger = keys[i];
        keys[i] = key;
        key = larger;
      }
    }
    keys[count++] = key;
  }
  for (std::size_t rank = 0; rank < count; ++rank) {
    const unsigned mask = kLineSymbolMask[keys[rank] & 15u];
    for (unsigned nibble = 0; nibble < 16; ++nibble) {
      const auto bit = static_cast<std::uint8_t>(1u << rank % 8);
      if ((nibble & ~mask & 15) == 0) tables.fits[rank / 8][0][nibble] |= bit;
      if ((nibble & ~(mask >> 4) & 15) == 0) tables.fits[rank / 8][1][nibble] |= bit;
    }
  }
  for (std::size_t part = 0; part < 3; ++part) {
    tables.cheapest[part][0] = 0xFF;
    for (unsigned nibble = 1; nibble < 16; ++nibble) {
      const std::size_t rank = 4 * part + static_cast<std::size_t>(std::countr_zero(nibble));
      tables.cheapest[part][nibble] = rank < count ? keys[rank] : std::uint8_t{0xFF};
    }
  }
  return tables;
}();

// For words in general registers: how raw bytes spread over a word, by its mask. Taken 4 for the
// lower half and then 4 for the upper, each moves up by as many bytes as its half lacks below it.
struct LineSpread {
  std::uint64_t moved[4];  // the bytes that move by 0, 1, 2 and 3, where they are taken
  std::uint64_t raw;       // the bytes of the word that are raw
  std::uint64_t lower_count;
  std::uint64_t count;
};
inline constexpr auto kLineSpread = [] {
  std::array<LineSpread, 256> table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    LineSpread& row = table[mask];
    row.lower_count = static_cast<std::uint64_t>(std::popcount(mask & 15));
    row.count = static_cast<std::uint64_t>(std::popcount(mask));
    for (unsigned half = 0; half < 8; half += 4) {
      unsigned place = half;
      for (unsigned byte = half; byte < half + 4; ++byte) {
        if ((mask >> byte & 1) == 0) continue;
        row.moved[byte - place] |= std::uint64_t{0xFF} << 8 * place;
        row.raw |= std::uint64_t{0xFF} << 8 * byte;
        ++place;
      }
    }
  }
  return table;
}();

}  // namespace pleat::codec
