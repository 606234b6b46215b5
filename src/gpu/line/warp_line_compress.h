// SPDX-License-Identifier: MIT OR Apache-2.0
// Compression of a page to the line format (docs/formats/line.md) by one warp.
//
// First words are looked up in a hash table, 32 at a time, a lane a word; the table holds the words
// of earlier steps. Then a lane is a line: it scores the few candidates for its reference alone,
// without a word to other lanes, and codes its words; 32 lines at a time. Scans then give each part
// of the block its place, and in 16 steps, a lane a word again, the raw bytes are written to where
// they belong. The block grows in the scratch memory below the page and over it, behind the words
// that were read.
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
inline constexpr std::uint32_t kSlots = (4u << kTableBits) - 4;  // those of its words, as bits
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

// What the table holds where nothing was entered: position 0, with a check that zeros do not have.
inline constexpr std::uint32_t kNoEntry = 0xFFFF;
// Odd numbers without a pattern. A word's low 16 bits change most from one word to the next, so
// they do not count.
inline constexpr std::uint32_t kHashFactors[2] = {0x9E3779B1, 0x85EBCA6B};

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
    warp.put_words4(kTable + 512 * i + 16 * warp.lane(),
                    {{kNoEntry, kNoEntry, kNoEntry, kNoEntry}});
  }
  warp.put_words4(16 * warp.lane(), {});
  if (warp.lane() < (kPage - 512) / 16) warp.put_words4(512 + 16 * warp.lane(), {});
}

// A word's slot in the table, and what it enters there: its place in the page, and below it 16 bits
// of its hash as a check. The largest entry of one slot is that of the last word.
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
  const std::uint32_t hash = upper * kHashFactors[0] + high * kHashFactors[1];
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

// The words whose symbols have masks of their own, bit w.
PLEAT_DEVICE std::uint32_t own_masks(std::uint32_t symbols) {
  const std::uint32_t own = symbols >> 3 & symbols >> 2 & symbols >> 1 & 0x11111111;
  return own * 0x01020408 >> 24;
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

// Bytes that were picked from 8, the first in the lowest byte, zeros behind them.
struct Picked {
  std::uint32_t low;
  std::uint32_t high;
};
// Bits of the mask above the eighth do not matter.
PLEAT_DEVICE Picked pick(Warp& warp, std::uint32_t low, std::uint32_t high, std::uint32_t mask,
                         std::uint32_t upper, std::uint32_t lower) {
  const std::uint32_t selector = warp.shuffle(upper, mask);
  const std::uint32_t first = pick_bytes(low, 0, selector);
  const std::uint32_t second = pick_bytes(high, 0, warp.shuffle(lower, mask >> 4));
  const std::uint32_t shift = selector >> 16;
  return {funnel_right_clamped(first, second, shift), funnel_right_clamped(second, 0, shift)};
}

// Adds bytes to the block where it is zeros.
PLEAT_DEVICE void add_word(Warp& warp, std::uint32_t at, std::uint32_t word) {
  const std::uint32_t aligned = at & ~3u;
  warp.or_u32(aligned, funnel_left(0, word, 8 * at));
  warp.or_u32(aligned + 4, funnel_left(word, 0, 8 * at));
}
PLEAT_DEVICE void add_picked(Warp& warp, std::uint32_t at, const Picked& bytes) {
  const std::uint32_t aligned = at & ~3u;
  warp.or_u32(aligned, funnel_left(0, bytes.low, 8 * at));
  warp.or_u32(aligned + 4, funnel_left(bytes.low, bytes.high, 8 * at));
  warp.or_u32(aligned + 8, funnel_left(bytes.high, 0, 8 * at));
}

PLEAT_DEVICE std::uint32_t lanes_below(unsigned lane) { return (1u << lane) - 1; }

// What precedes the raw bytes, where the block fits; and for each line where its raw bytes begin.
// Returns the block's size.
PLEAT_DEVICE std::uint32_t put_header(Warp& warp, std::uint32_t capacity, std::uint32_t upper,
                                      std::uint32_t lower) {
  warp.count(kLineHeader);
  const unsigned lane = warp.lane();
  const std::uint32_t below = lanes_below(lane);
  const Words4 lines[2] = {warp.words4(kLines + 16 * lane), warp.words4(kLines + 512 + 16 * lane)};
  std::uint32_t filled[2];
  PLEAT_UNROLL(2)
  for (unsigned i = 0; i < 2; ++i) filled[i] = warp.ballot(lines[i].word[2] != 0);

  // A line inherits if the last filled line before it has the same distance.
  const std::uint32_t filled_before[2] = {filled[0] & below, filled[1] & below};
  const std::uint32_t before[2] = {
      warp.shuffle(lines[0].word[3], 31 - leading_zeros(filled_before[0])),
      warp.shuffle(lines[1].word[3], 31 - leading_zeros(filled_before[1]))};
  const std::uint32_t last = warp.shuffle(lines[0].word[3], 31 - leading_zeros(filled[0]));
  const std::uint32_t inherited[2] = {filled_before[0] != 0 ? before[0] : 0, filled_before[1] != 0
                                                                                 ? before[1]
                                                                             : filled[0] != 0 ? last
                                                                                              : 0};
  std::uint32_t ninth[2];
  std::uint32_t distances[2];
  std::uint32_t distance[2];
  std::uint32_t own[2];
  std::uint32_t counts[2];
  std::uint32_t totals[2];
  PLEAT_UNROLL(2)
  for (unsigned i = 0; i < 2; ++i) {
    const bool has_own = lines[i].word[2] != 0 && lines[i].word[3] != inherited[i];
    distances[i] = warp.ballot(has_own);
    distance[i] = has_own ? lines[i].word[3] >> 3 : 0;
    ninth[i] = warp.ballot(distance[i] > 255);
    own[i] = own_masks(lines[i].word[2]);
    // Up to 256 own masks, and up to 2048 raw bytes.
    counts[i] = scan_below(
        warp, popcount(own[i]) | (popcount(lines[i].word[0]) + popcount(lines[i].word[1])) << 16,
        &totals[i]);
  }
  const std::uint32_t symbols_at = kBitmaps + popcount(distances[0]) + popcount(distances[1]);
  const std::uint32_t own_at = symbols_at + 4 * (popcount(filled[0]) + popcount(filled[1]));
  const std::uint32_t total = totals[0] + totals[1];
  const std::uint32_t raw_at = own_at + (total & 0xFFFF);
  const std::uint32_t size = raw_at + (total >> 16);
  if (size > capacity) return size;

  if (lane == 0) {
    warp.put_u64(0, filled[0], filled[1]);
    warp.put_u64(8, ninth[0], ninth[1]);
    warp.put_u64(16, ~distances[0], ~distances[1]);
  }
  counts[1] += totals[0];
  PLEAT_UNROLL(2)
  for (unsigned i = 0; i < 2; ++i) {
    const std::uint32_t distance_rank =
        popcount(distances[i] & below) + (i == 0 ? 0 : popcount(distances[0]));
    const std::uint32_t filled_rank =
        popcount(filled_before[i]) + (i == 0 ? 0 : popcount(filled[0]));
    const std::uint32_t distance_at = kBitmaps + distance_rank;
    warp.or_u32(distance_at & ~3u, funnel_left(0, distance[i] & 0xFF, 8 * distance_at));
    add_word(warp, symbols_at + 4 * filled_rank, lines[i].word[2]);
    add_picked(warp, own_at + (counts[i] & 0xFFFF),
               pick(warp, lines[i].word[0], lines[i].word[1], own[i], upper, lower));
    warp.put_u32(kLines + 512 * i + 16 * lane + 8, raw_at + (counts[i] >> 16));
  }
  return size;
}

// The lane's place in a step, which does not change.
struct Place {
  std::uint32_t byte;       // selects the word's mask
  std::uint32_t before[2];  // the masks of the words before it
};
PLEAT_DEVICE Place place_of(unsigned lane) {
  const unsigned word = lane % 8;
  return {
      word,
      {word < 4 ? lanes_below(8 * word) : 0xFFFFFFFF, word < 4 ? 0 : lanes_below(8 * (word - 4))}};
}

// The raw bytes of four lines. Where the page was, there are zeros for the block.
PLEAT_DEVICE void put_raw(Warp& warp, unsigned step, const Place& place, std::uint32_t upper,
                          std::uint32_t lower) {
  warp.count(kLineRaw);
  const std::uint32_t at = kPage + 256 * step + 8 * warp.lane();
  std::uint32_t low;
  std::uint32_t high;
  warp.u64(at, &low, &high);
  warp.put_u64(at, 0, 0);
  const Words4 line = warp.words4(kLines + 64 * step + 16 * (warp.lane() / 8));
  warp.sync();
  const std::uint32_t mask = pick_bytes(line.word[0], line.word[1], place.byte);
  const std::uint32_t raw_at = line.word[2] + popcount(line.word[0] & place.before[0]) +
                               popcount(line.word[1] & place.before[1]);
  add_picked(warp, raw_at, pick(warp, low, high, mask, upper, lower));
}

}  // namespace line_out

inline constexpr std::uint32_t kLineCompressScratch = line_out::kEnd;

// Compresses a page to at most `capacity` bytes, a multiple of 16 and at most 4096, and zeros up to
// the next multiple of 16. Both are aligned to 16. Returns the block's size in all lanes, or 0
// where it does not fit; nothing is written then.
PLEAT_DEVICE std::uint32_t warp_line_compress(Warp& warp, const std::byte* page, std::byte* block,
                                              std::uint32_t capacity) {
  line_out::fetch(warp, page);
  warp.sync();
  line_out::enter_first(warp);
  warp.sync();
  PLEAT_UNROLL(4)
  for (unsigned step = 0; step < 16; ++step) line_out::find(warp, step);
  PLEAT_UNROLL(2)
  for (unsigned i = 0; i < 2; ++i) {
    const std::uint32_t at = 512 * i + 16 * warp.lane();
    warp.put_words4(line_out::kTable + at,
                    global_words4(reinterpret_cast<const std::byte*>(&line_out::kTables) + at));
  }
  const std::uint32_t upper = line_out::kTables.upper[warp.lane()];
  const std::uint32_t lower = line_out::kTables.lower[warp.lane()];
  warp.sync();
  line_out::choose(warp);
  const std::uint32_t size = line_out::put_header(warp, capacity, upper, lower);
  if (size > capacity) return 0;
  warp.sync();
  const line_out::Place place = line_out::place_of(warp.lane());
  PLEAT_UNROLL(4)
  for (unsigned step = 0; step < 16; ++step) line_out::put_raw(warp, step, place, upper, lower);
  warp.sync();
  for (std::uint32_t at = 16 * warp.lane(); at < size; at += 16 * kWarpLanes) {
    warp.count(kLineFlush);
    put_global_words4(block + at, warp.words4(at));
  }
  return size;
}

}  // namespace pleat::gpu
