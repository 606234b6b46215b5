// SPDX-License-Identifier: MIT OR Apache-2.0
// How a warp that compresses to the line format chooses references and symbols; and the scratch
// memory of the whole kernel, warp_line_compress.h.
//
// First words are looked up in a hash table, 32 at a time, a lane a word; the table holds the words
// of earlier steps. Then a lane is a line: it scores the few candidates for its reference alone,
// without a word to other lanes, and codes its words; 32 lines at a time.
//
// The candidates are the lines at the distances 64 and 128; of the words that were found, the one
// farthest back in each half of the line, since what was not seen for long says most; and the
// distance of the line before, as it was chosen from these.
#pragma once

#include "codec/line/line_format.h"
#include "gpu/simt/simt.h"

namespace pleat::gpu {

enum LineCompressPhase : unsigned {
  kLineFind,
  kLineChoose,
  kLineScore,
  kLineCode,
  kLineHeader,
  kLineRaw,
  kLineFlush,
};

namespace line_out {

// Scratch memory: the block's first part; 64 bytes of zeros, the reference of line 0; the page; the
// hash table, later the tables of symbols; 16 bytes a line.
//
// The raw bytes grow over the page, but never over words that are still to be read: the part before
// them is smaller than the distance to the page, by more than a store of 12 bytes goes too far.
inline constexpr std::uint32_t kPage = 960;
inline constexpr std::uint32_t kTable = kPage + kPageSize;
inline constexpr std::uint32_t kTableBits = 9;
inline constexpr std::uint32_t kSlots = (4u << kTableBits) - 4;  // offsets of its entries, as bits
inline constexpr std::uint32_t kLines = kTable + (4u << kTableBits);
inline constexpr std::uint32_t kBitmaps = codec::kLineBitmapsBytes;
inline constexpr std::uint32_t kEnd = kLines + 16 * codec::kLines;
static_assert(codec::kLineHeaderMax + 12 <= kPage - 64 && kPage % 64 == 0);

// By the mask of a word's bytes that are not zero, and of those that differ from the reference:
// cost << 12 | symbol << 8 | mask, of which the smaller decides.
//
// For each mask of 4 bits, twice: selectors of pick_bytes(word, 0, ·) that move the bytes under it
// to the upper end, and to the lower one. Above the former, the bits below its bytes.
struct alignas(16) Tables {
  std::uint16_t symbols[2][256];
  std::uint32_t upper[kWarpLanes];
  std::uint32_t lower[kWarpLanes];
};
constexpr std::uint16_t symbol_entry(unsigned mask, bool reference) {
  const unsigned key = codec::line_symbol(mask, reference);
  const unsigned symbol = key & 15;
  const unsigned raw = symbol >= codec::kLineOwnZero ? mask : codec::kLineSymbolMask[symbol];
  return static_cast<std::uint16_t>(key << 8 | raw);
}
constexpr Tables make_tables() {
  Tables tables{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    tables.symbols[0][mask] = symbol_entry(mask, false);
    tables.symbols[1][mask] = symbol_entry(mask, true);
  }
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    const auto count = static_cast<unsigned>(std::popcount(lane & 15));
    std::uint32_t upper = 0x4444;
    std::uint32_t lower = 0x4444;
    unsigned rank = 0;
    for (unsigned i = 0; i < 4; ++i) {
      if ((lane >> i & 1) == 0) continue;
      lower ^= (4 ^ i) << 4 * rank;
      upper ^= (4 ^ i) << 4 * (4 - count + rank);
      ++rank;
    }
    tables.lower[lane] = lower;
    tables.upper[lane] = upper | (32 - 8 * count) << 16;
  }
  return tables;
}
PLEAT_TABLE Tables kTables = make_tables();
inline constexpr std::uint32_t kZeroSymbols = kTable;
inline constexpr std::uint32_t kReferenceSymbols = kTable + 512;

// A word's low 16 bits change most from one word to the next, so they do not count. The factors are
// odd numbers without a pattern. The sum makes sure that zeros have a check that is not 0, as it is
// where nothing was entered.
inline constexpr std::uint32_t kHashFactors[2] = {0x9E3779B1, 0x85EBCA6B};
inline constexpr std::uint32_t kHashSum = 0x00FFFF00;

PLEAT_DEVICE void fetch(Warp& warp, const std::byte* page) {
  Words4 words[8];
  PLEAT_UNROLL(8)
  for (unsigned i = 0; i < 8; ++i) {
    words[i] = global_words4(page + 512 * i + 16 * warp.lane());
  }
  PLEAT_UNROLL(8)
  for (unsigned i = 0; i < 8; ++i) {
    warp.put_words4(kPage + 512 * i + 16 * warp.lane(), words[i]);
  }
  PLEAT_UNROLL(4)
  for (unsigned i = 0; i < 4; ++i) {
    warp.put_words4(kTable + 512 * i + 16 * warp.lane(), {});
  }
  warp.put_words4(16 * warp.lane(), {});
  if (warp.lane() < (kPage - 512) / 16) warp.put_words4(512 + 16 * warp.lane(), {});
}

// A word's slot in the table, and what it enters there: its place in the page, and below
// that 16 bits of its hash as a check. The largest entry of one slot is that of the last
// word.
struct Hashed {
  std::uint32_t slot;
  std::uint32_t entry;
  bool enters;
};
PLEAT_DEVICE Hashed hash_word(Warp& warp, std::uint32_t position) {
  std::uint32_t low;
  std::uint32_t high;
  warp.u64(kPage + position, &low, &high);
  const std::uint32_t upper = low & 0xFFFF0000;
  const std::uint32_t hash = upper * kHashFactors[0] + (high * kHashFactors[1] + kHashSum);
  // Zeros need no reference.
  return {kTable + (hash >> (30 - kTableBits) & kSlots), pick_bytes(hash, position, 0x5421),
          (upper | high) != 0};
}

// The first two lines are entered before the others of their step are looked up: pages of small
// periods then have a reference for all but those. They find themselves, which is no harm.
PLEAT_DEVICE void enter_first(Warp& warp) {
  const Hashed word = hash_word(warp, 8 * warp.lane());
  if (word.enters && warp.lane() < 16) warp.max_u32(word.slot, word.entry);
}

// Looks up 32 words and enters them. Leaves for each where its line's reference begins if the word
// found is its reference word, modulo 64 KiB: where that is before the page, it is very large, as
// it is where none was found.
PLEAT_DEVICE void find(Warp& warp, unsigned step) {
  warp.count(kLineFind);
  const std::uint32_t position = 256 * step + 8 * warp.lane();
  const Hashed word = hash_word(warp, position);
  const std::uint32_t found = warp.u32(word.slot);
  const bool same = ((found ^ word.entry) & 0xFFFF) == 0;
  const std::uint32_t start = (found >> 16) - 8 * (warp.lane() % 8);
  warp.put_u16(kLines + position / 4, same ? start : 0xFFFF);
  warp.sync();
  if (word.enters) warp.max_u32(word.slot, word.entry);
  warp.sync();
}

// Leaves what find() leaves for all words, and the tables of symbols in the place of the hash
// table. The caller calls sync() before choose().
PLEAT_DEVICE void find_all(Warp& warp, const std::byte* page) {
  fetch(warp, page);
  warp.sync();
  enter_first(warp);
  warp.sync();
  PLEAT_UNROLL(2)
  for (unsigned step = 0; step < 16; ++step) find(warp, step);
  PLEAT_UNROLL(2)
  for (unsigned i = 0; i < 2; ++i) {
    const std::uint32_t at = 512 * i + 16 * warp.lane();
    warp.put_words4(kTable + at, global_words4(reinterpret_cast<const std::byte*>(&kTables) + at));
  }
}

// The 0x80 bits of bytes that are not zero, without others.
PLEAT_DEVICE std::uint32_t not_zero_bytes(std::uint32_t word) {
  return (((word & 0x7F7F7F7F) + 0x7F7F7F7F) | word) & 0x80808080;
}

// A lane's line. Word k of it is the line's word k ^ turn, so that lanes which read words at the
// same places of lines in a row read from different banks.
struct Line {
  std::uint32_t offset[8];  // of word k in the line, in bytes
  std::uint32_t word[16];
  std::uint32_t not_zero[16];
};

PLEAT_DEVICE void load_line(Warp& warp, std::uint32_t at, Line* line) {
  PLEAT_UNROLL(8)
  for (unsigned k = 0; k < 8; ++k) {
    warp.u64(at + line->offset[k], &line->word[2 * k], &line->word[2 * k + 1]);
  }
  PLEAT_UNROLL(16)
  for (unsigned i = 0; i < 16; ++i) line->not_zero[i] = not_zero_bytes(line->word[i]);
}

// A candidate's score, the count of bytes that are not zero and equal to its own ones, above its
// place: the nearest of equal ones is the largest. Places begin 64 bytes before the page, where
// line 0 has zeros for its reference.
//
// The bytes are counted by borrows, which take a byte for equal that differs by its lowest bit
// alone where the byte below it is equal. Each counts 128; the bonus is in the same unit.
PLEAT_DEVICE std::uint32_t score(Warp& warp, const Line& line, std::uint32_t start,
                                 std::uint32_t bonus) {
  warp.count(kLineScore);
  std::uint32_t sum = 1 + bonus;
  PLEAT_UNROLL(8)
  for (unsigned k = 0; k < 8; ++k) {
    std::uint32_t reference[2];
    warp.u64(kPage + start + line.offset[k], &reference[0], &reference[1]);
    PLEAT_UNROLL(2)
    for (unsigned i = 0; i < 2; ++i) {
      const std::uint32_t differs = line.word[2 * k + i] ^ reference[i];
      const std::uint32_t equal = (differs - 0x01010101) & ~differs & line.not_zero[2 * k + i];
      sum = dot_bytes(equal, 0x01010101, sum);
    }
  }
  return 64 * sum + start;
}
// To inherit the distance of the line before saves a byte, so it is taken where all else is equal.
inline constexpr std::uint32_t kInheritBonus = 64;
PLEAT_DEVICE std::uint32_t start_of(std::uint32_t key) { return (key & 0xFFF) - 64; }

PLEAT_DEVICE std::uint32_t smaller(std::uint32_t a, std::uint32_t b) { return a < b ? a : b; }
PLEAT_DEVICE std::uint32_t larger(std::uint32_t a, std::uint32_t b) { return a > b ? a : b; }
PLEAT_DEVICE std::uint32_t smaller_signed(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a) < static_cast<std::int32_t>(b) ? a : b;
}
PLEAT_DEVICE std::uint32_t not_negative(std::uint32_t a) {
  return static_cast<std::int32_t>(a) > 0 ? a : 0;
}

// The smallest of four numbers of 16 bits.
PLEAT_DEVICE std::uint32_t smallest(std::uint32_t a, std::uint32_t b) {
  return smaller(smaller(a, b), smaller(a << 16, b << 16)) >> 16;
}

// A line's masks and symbols, in the order of the words and of the block.
struct Coded {
  std::uint32_t masks[2];
  std::uint32_t symbols;
};

// Four words k, as bytes in the order of words.
struct Turn {
  bool swaps;
  std::uint32_t selector;
};
PLEAT_DEVICE void turn_back(const Turn& turn, std::uint32_t* first, std::uint32_t* second) {
  const std::uint32_t low = turn.swaps ? *second : *first;
  const std::uint32_t high = turn.swaps ? *first : *second;
  *first = pick_bytes(low, 0, turn.selector);
  *second = pick_bytes(high, 0, turn.selector);
}

// The cheapest symbols of a line's words for a reference.
PLEAT_DEVICE Coded code(Warp& warp, const Line& line, const Turn& turn, std::uint32_t start) {
  warp.count(kLineCode);
  std::uint32_t entries[8];
  PLEAT_UNROLL(8)
  for (unsigned k = 0; k < 8; ++k) {
    std::uint32_t low;
    std::uint32_t high;
    warp.u64(kPage + start + line.offset[k], &low, &high);
    // The masks, times 128.
    const std::uint32_t own = dot_bytes(line.not_zero[2 * k], 0x08040201,
                                        dot_bytes(line.not_zero[2 * k + 1], 0x80402010, 0));
    const std::uint32_t differs =
        dot_bytes(not_zero_bytes(line.word[2 * k] ^ low), 0x08040201,
                  dot_bytes(not_zero_bytes(line.word[2 * k + 1] ^ high), 0x80402010, 0));
    entries[k] =
        smaller(warp.u16(kZeroSymbols + (own >> 6)), warp.u16(kReferenceSymbols + (differs >> 6)));
  }
  Coded coded;
  std::uint32_t symbols[2];
  PLEAT_UNROLL(2)
  for (unsigned i = 0; i < 2; ++i) {
    const std::uint32_t first = pick_bytes(entries[4 * i], entries[4 * i + 1], 0x5140);
    const std::uint32_t second = pick_bytes(entries[4 * i + 2], entries[4 * i + 3], 0x5140);
    coded.masks[i] = pick_bytes(first, second, 0x5410);
    symbols[i] = pick_bytes(first, second, 0x7632);
  }
  turn_back(turn, &coded.masks[0], &coded.masks[1]);
  turn_back(turn, &symbols[0], &symbols[1]);
  coded.symbols = (symbols[0] & 0x0F0F0F0F) | (symbols[1] << 4 & 0xF0F0F0F0);
  return coded;
}

// Chooses the references of all lines, and leaves for each its masks, its symbols, and its
// distance less 64.
PLEAT_DEVICE void choose(Warp& warp) {
  const unsigned turn_by = warp.lane() / 2 % 8;
  const Turn turn = {turn_by >= 4, 0x3210 ^ 0x1111 * (turn_by % 4)};
  Line line;
  PLEAT_UNROLL(8)
  for (unsigned k = 0; k < 8; ++k) line.offset[k] = 8 * (k ^ turn_by);
  std::uint32_t before = 0;  // the distance of the line before lane 0's, less 64
  PLEAT_UNROLL(1)
  for (unsigned half = 0; half < 2; ++half) {
    warp.count(kLineChoose);
    const std::uint32_t number = 32 * half + warp.lane();
    const std::uint32_t at = 64 * number;
    load_line(warp, kPage + at, &line);
    // The last line that can be a reference, which is what all that was not found becomes. Of line
    // 0 it is the zeros before the page, and all candidates are.
    const std::uint32_t last = at - 64;
    std::uint32_t best = 0;
    const auto try_start = [&](std::uint32_t start, std::uint32_t bonus) {
      best = larger(best, score(warp, line, smaller_signed(start, last), bonus));
    };
    const Words4 found = warp.words4(kLines + 16 * number);
    try_start(last, 0);
    try_start(not_negative(last - 64), 0);
    try_start(smallest(found.word[0], found.word[1]), 0);
    try_start(smallest(found.word[2], found.word[3]), 0);
    const std::uint32_t neighbour = warp.shuffle_up(last - start_of(best), 1);
    try_start(not_negative(last - (warp.lane() == 0 ? before : neighbour)), kInheritBonus);
    const std::uint32_t start = start_of(best);
    const std::uint32_t distance = last - start;
    before = warp.shuffle(distance, kWarpLanes - 1);
    const Coded coded = code(warp, line, turn, start);
    warp.put_words4(kLines + 16 * number,
                    {{coded.masks[0], coded.masks[1], coded.symbols, distance}});
  }
}

}  // namespace line_out

}  // namespace pleat::gpu
