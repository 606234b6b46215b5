// SPDX-License-Identifier: MIT OR Apache-2.0
// The working memory of a zstd encoder, of pages or of groups.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/page.h"
#include "codec/zstd/zstd_format.h"

namespace pleat::codec {

// Levels of zstd_compress(): 1, zstd:fast, leaves literals as they are; 2, zstd:1, codes them where
// that pays; 3, zstd:3, looks for longer matches.
inline constexpr unsigned kZstdLevels = 3;
// A match is at least this long here; the format has 3.
inline constexpr std::size_t kZstdMinMatch = 4;
// The longest code of a literal. Longer ones take more to describe than they save, in groups, too.
inline constexpr unsigned kZstdWriteHuffmanLogMax = 9;
// The largest tables that are written here. A sequence's states and further bits of a page then fit
// in one word: 8 + 8 + 7 bits of states, and 10 + 11 + 12 further ones.
inline constexpr unsigned kZstdWriteLogMax = 8;
inline constexpr unsigned kZstdWriteOffsetLogMax = 7;

// One symbol of an FSE table that is written: how many bits it takes in a state, and which one
// follows (both as differences, so that nothing branches).
struct ZstdSymbolStep {
  std::uint32_t bits;  // (most << 16) - the first state that takes so many
  std::int32_t next;   // in the table of states
};

struct ZstdWriteTable {
  std::uint16_t states[1 << kZstdWriteLogMax];
  ZstdSymbolStep steps[kZstdMatchLengthCodes];
  unsigned log;  // 0: one symbol alone
};

// What each symbol is written as: its bits from the fifth one on, and how many in the lowest four.
struct ZstdHuffmanCode {
  std::uint16_t words[256];
};

struct ZstdSequenceCodes {
  std::uint8_t literal_length;
  std::uint8_t match_length;
  std::uint8_t offset;
};

struct ZstdWrittenSequence {
  std::uint16_t literal_count;
  std::uint16_t length;
  std::uint32_t value;  // of the offset: 1 to 3 for one of the last ones, else 3 more than it
};

// What every search has: what it finds, and how that is written.
template <std::size_t kContentBytes, std::size_t kMinMatch>
struct ZstdEncoderOf {
  static constexpr std::size_t kBytes = kContentBytes;
  static constexpr bool kIsPage = kBytes == kPageSize;
  static constexpr bool kIsDense = kMinMatch < kZstdMinMatch;

  ZstdWrittenSequence sequences[kBytes / kMinMatch + 1];
  ZstdSequenceCodes codes[kBytes / kMinMatch + 1];
  alignas(64) std::byte literals[kBytes + 64];
  ZstdWriteTable literal_lengths;
  ZstdWriteTable match_lengths;
  ZstdWriteTable offsets;
  // Of content whose sequences are longer than what they stand for, too.
  alignas(64) std::byte block[3 * kBytes];
};

template <std::size_t kContentBytes>
struct ZstdQuickEncoderOf : ZstdEncoderOf<kContentBytes, kZstdMinMatch> {
  static constexpr bool kIsPage = kContentBytes == kPageSize;
  static constexpr unsigned kHashBits = kIsPage ? 12 : 14;
  // How many 64ths of the literals their code has to save at zstd:1: a page's cost its reader more
  // time than they save memory; groups are for density.
  static constexpr std::size_t kLiteralGain = kIsPage ? 10 : 1;

  // The last position whose first bytes have this hash, and, for zstd:3, whose first eight have; 0
  // where there was none.
  alignas(64) std::uint16_t positions[std::size_t{1} << kHashBits];
  std::uint16_t long_positions[std::size_t{1} << kHashBits];
};
struct ZstdEncoder : ZstdQuickEncoderOf<kPageSize> {};
struct ZstdGroupEncoder : ZstdQuickEncoderOf<kGroupBytes> {};
static_assert(sizeof(ZstdEncoder) <= 64 * 1024);

}  // namespace pleat::codec
