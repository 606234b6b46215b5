// SPDX-License-Identifier: MIT OR Apache-2.0
// Decompression of one block of the line format (docs/formats/line.md) by one warp.
//
// All offsets of a block follow from its header and symbols. So the lanes first parse those, two
// lines each, into one record a line; nothing that is read later depends on data. Then the page is
// made in 16 steps of four lines, a lane a word. A word may refer to a word of the same step, of
// one of its three lines before: such words are completed by shuffles, in three rounds, which is
// the longest chain that there can be.
#pragma once

#include "codec/line/line_format.h"
#include "gpu/page_bytes.h"
#include "gpu/page_status.h"
#include "gpu/simt/simt.h"

namespace pleat::gpu {

// Scratch memory: the block, 16 zero bytes, the page. The zeros are what a word without a reference
// refers to, and what may be read behind the block. Records lie in the last KiB of the page: that
// of a line is read before its line is stored.
inline constexpr std::uint32_t kLineBlockMax = 4096;
inline constexpr std::uint32_t kLineZeros = kLineBlockMax;
inline constexpr std::uint32_t kLinePage = kLineZeros + 16;
inline constexpr std::uint32_t kLineRecords = kLinePage + kPageBytes - 64 * 16;
inline constexpr std::uint32_t kLineDecompressScratch = kLinePage + kPageBytes;
static_assert(kPageSize == 4096);

// Words of 32 bits are what a GPU counts in.
inline constexpr std::uint32_t kLineBytes = codec::kLineBytes;
inline constexpr std::uint32_t kLineWords = codec::kLineWords;
inline constexpr std::uint32_t kLineBitmapsBytes = codec::kLineBitmapsBytes;

enum LineDecompressPhase : unsigned { kLineStage, kLineParse, kLineStep };

// Bytes under a mask of 4 bits, of a source whose bytes are packed, into a word: as a selector of
// pick_bytes(packed, word, ·). Lane m of 16 holds the selector of mask m.
PLEAT_DEVICE std::uint32_t expand_selector(unsigned lane) {
  std::uint32_t selector = 0;
  std::uint32_t packed = 0;
  PLEAT_UNROLL(4)
  for (unsigned i = 0; i < 4; ++i) {
    const bool raw = (lane >> i & 1) != 0;
    selector |= (raw ? packed : 4 + i) << 4 * i;
    packed += raw ? 1 : 0;
  }
  return selector;
}

// A line's symbols, as they are in the block: nibbles in the order of words 0 4 1 5 2 6 3 7.
struct LineSymbols {
  std::uint32_t nibbles;

  // Bit 0 of each nibble: its word refers to the reference line; its mask is in the block. Symbols
  // 2 to 11, 13 and 15; 14 and 15.
  PLEAT_DEVICE std::uint32_t references() const {
    const std::uint32_t bit3 = nibbles >> 3;
    const std::uint32_t bit2 = nibbles >> 2;
    const std::uint32_t bit1 = nibbles >> 1;
    const std::uint32_t both = bit3 & bit2;
    return ((both & nibbles) | (~both & (bit3 | bit2 | bit1))) & 0x11111111;
  }
  PLEAT_DEVICE std::uint32_t own() const {
    return nibbles >> 3 & nibbles >> 2 & nibbles >> 1 & 0x11111111;
  }
};

// kLineSymbolMask of four nibbles, as bytes: two look-ups of 8 entries, and which one by bit 3.
PLEAT_DEVICE std::uint32_t line_masks_of(std::uint32_t nibbles) {
  static_assert(codec::kLineSymbolMask ==
                std::array<std::uint8_t, 16>{0x00, 0xFF, 0x00, 0x01, 0x03, 0x77, 0x07, 0x3F,  //
                                             0x0F, 0x7F, 0x10, 0x33, 0x02, 0xF7, 0x00, 0x00});
  const std::uint32_t selector = nibbles & 0x7777;
  const std::uint32_t low = pick_bytes(0x0100FF00, 0x3F077703, selector);
  const std::uint32_t high = pick_bytes(0x33107F0F, 0x0000F702, selector);
  const std::uint32_t is_high = pick_bytes(0x0000FF00, 0, nibbles >> 3 & 0x1111);
  return (low & ~is_high) | (high & is_high);
}

// Bits 0, 8, 16 and 24, as bits 0 to 3.
PLEAT_DEVICE std::uint32_t gather_byte_bits(std::uint32_t bits) {
  return (bits & 0x01010101) * 0x01020408 >> 24;
}

// The masks of a line's words, a byte each, with those of its own in place.
struct LineMasks {
  std::uint32_t word[2];
};

// A line's part of the header.
struct LineHead {
  LineSymbols symbols;
  std::uint32_t own;   // by word: bit w
  std::uint32_t near;  // the distance's
  bool bad;
};

PLEAT_DEVICE std::uint32_t below(unsigned bit) { return (1u << bit) - 1; }

// Bits of a bitmap of 64 below a place.
PLEAT_DEVICE unsigned popcount_below(std::uint32_t low, std::uint32_t high, unsigned place) {
  const std::uint32_t part = below(place & 31);
  return place < 32 ? popcount(low & part) : popcount(low) + popcount(high & part);
}

struct LineBitmaps {
  std::uint32_t filled[2];
  std::uint32_t ninth[2];
  std::uint32_t distances[2];  // of its own: not inherited
};

// The first bytes of the block are read for any size, so all of them have to be in the scratch
// memory: at most 24 + 63 + 256 + 512, and 8 behind them.
PLEAT_DEVICE LineHead line_head(Warp& warp, const LineBitmaps& maps, std::uint32_t symbols_at,
                                unsigned line) {
  const unsigned half = line / 32;
  const std::uint32_t bit = 1u << line % 32;
  const std::uint32_t filled = half == 0 ? maps.filled[0] : maps.filled[1];
  const std::uint32_t distances = half == 0 ? maps.distances[0] : maps.distances[1];
  const unsigned rank = popcount_below(maps.filled[0], maps.filled[1], line);
  const std::uint32_t symbols = load_unaligned(warp, symbols_at + 4 * rank);
  LineHead head;
  head.symbols.nibbles = (filled & bit) != 0 ? symbols : 0;
  const std::uint32_t own = head.symbols.own();
  head.own = gather_byte_bits(own) | gather_byte_bits(own >> 4) << 4;

  // The last line up to this one that has a distance of its own.
  const bool is_own = (distances & bit) != 0;
  const unsigned count = popcount_below(maps.distances[0], maps.distances[1], line) + is_own;
  const std::uint32_t up_to = distances & (bit | (bit - 1));
  const bool in_low = half == 0 || up_to == 0;
  const std::uint32_t candidates = half == 0 ? up_to : up_to == 0 ? maps.distances[0] : up_to;
  const std::uint32_t ninths = in_low ? maps.ninth[0] : maps.ninth[1];
  const std::uint32_t byte = warp.u8(24 + (count == 0 ? 0 : count - 1));
  // Without any, the shift is by 31 - 32: of no bits, since count is 0 then.
  const std::uint32_t ninth = ninths >> ((31 - leading_zeros(candidates)) & 31) & 1;
  head.near = count == 0 ? 0 : byte | ninth << 8;
  head.bad = is_own && (line == 0 || head.near > kLineWords * (line - 1));
  return head;
}

// Puts a line's own masks, which begin at a place of the block, among the others.
PLEAT_DEVICE LineMasks line_place_own(Warp& warp, LineSymbols symbols, std::uint32_t own,
                                      std::uint32_t own_at, std::uint32_t selectors) {
  const std::uint32_t first = line_masks_of(symbols.nibbles);
  const std::uint32_t second = line_masks_of(symbols.nibbles >> 16);
  LineMasks masks;
  const std::uint32_t own_low = own & 15;
  const std::uint32_t low_bytes = load_unaligned(warp, own_at);
  const std::uint32_t high_bytes = load_unaligned(warp, own_at + popcount(own_low));
  masks.word[0] =
      pick_bytes(low_bytes, pick_bytes(first, second, 0x6420), warp.shuffle(selectors, own_low));
  masks.word[1] =
      pick_bytes(high_bytes, pick_bytes(first, second, 0x7531), warp.shuffle(selectors, own >> 4));
  return masks;
}

PLEAT_DEVICE std::uint32_t line_raw_bytes(const LineMasks& masks) {
  return popcount(masks.word[0]) + popcount(masks.word[1]);
}

// What the steps need of a line: the masks; which words have a reference, bit 0 of each nibble;
// where its raw bytes begin in the block, and above that, where its reference begins in the page.
PLEAT_DEVICE void line_put_record(Warp& warp, unsigned line, const LineMasks& masks,
                                  const LineHead& head, std::uint32_t raw_at) {
  const std::uint32_t reference = line == 0 ? 0 : kLineBytes * (line - 1) - kLineWords * head.near;
  warp.put_words4(kLineRecords + 16 * line,
                  {{masks.word[0], masks.word[1], line == 0 ? 0 : head.symbols.references(),
                    raw_at | reference << 16}});
}

// Reads the header and the symbols, and leaves the records of all lines; false if a rule of the
// format is broken.
PLEAT_DEVICE bool line_parse(Warp& warp, std::uint32_t size, std::uint32_t selectors) {
  warp.count(kLineParse);
  LineBitmaps maps;
  std::uint32_t inherits[2];
  warp.u64(0, &maps.filled[0], &maps.filled[1]);
  warp.u64(8, &maps.ninth[0], &maps.ninth[1]);
  warp.u64(16, &inherits[0], &inherits[1]);
  maps.distances[0] = ~inherits[0];
  maps.distances[1] = ~inherits[1];
  const bool rules = (inherits[0] & 1) != 0 && (maps.ninth[0] & inherits[0]) == 0 &&
                     (maps.ninth[1] & inherits[1]) == 0;
  const std::uint32_t symbols_at =
      kLineBitmapsBytes + popcount(maps.distances[0]) + popcount(maps.distances[1]);
  const std::uint32_t own_at =
      symbols_at + 4 * (popcount(maps.filled[0]) + popcount(maps.filled[1]));

  const unsigned line = 2 * warp.lane();
  const LineHead even = line_head(warp, maps, symbols_at, line);
  const LineHead odd = line_head(warp, maps, symbols_at, line + 1);
  std::uint32_t own_total;
  const std::uint32_t own_before =
      own_at + scan_below(warp, popcount(even.own) + popcount(odd.own), &own_total);
  const LineMasks even_masks = line_place_own(warp, even.symbols, even.own, own_before, selectors);
  const LineMasks odd_masks =
      line_place_own(warp, odd.symbols, odd.own, own_before + popcount(even.own), selectors);

  const std::uint32_t even_bytes = line_raw_bytes(even_masks);
  const std::uint32_t raw_at = own_at + own_total;
  std::uint32_t raw_total;
  const std::uint32_t raw_before =
      raw_at + scan_below(warp, even_bytes + line_raw_bytes(odd_masks), &raw_total);
  // A block whose masks reach behind its end is found here too: the raw bytes begin behind them.
  if (!warp.all(rules && !even.bad && !odd.bad && raw_at + raw_total == size)) return false;
  line_put_record(warp, line, even_masks, even, raw_before);
  line_put_record(warp, line + 1, odd_masks, odd, raw_before + even_bytes);
  return true;
}

// The lane's place in a step, which does not change.
struct LineLane {
  unsigned line;            // 0 to 3
  std::uint32_t word;       // 8 times the word's number: its place in the line
  std::uint32_t byte;       // selects the word's mask, and zeros
  std::uint32_t before[2];  // the masks of the words before it
  std::uint32_t reference;  // its nibble's bit
  std::uint32_t selectors;
};
PLEAT_DEVICE LineLane line_lane(unsigned lane, std::uint32_t selectors) {
  const unsigned word = lane % 8;
  LineLane own;
  own.line = lane / 8;
  own.word = 8 * word;
  own.byte = word;
  own.before[0] = word < 4 ? below(8 * word) : 0xFFFFFFFF;
  own.before[1] = word < 4 ? 0 : below(8 * (word - 4));
  own.reference = 1u << (word < 4 ? 8 * word : 8 * (word - 4) + 4);
  own.selectors = selectors;
  return own;
}

// Four lines, which are stored in the scratch memory and in the page.
PLEAT_DEVICE void line_step(Warp& warp, const LineLane& own, unsigned step, const Words4& record,
                            std::byte* page) {
  warp.count(kLineStep);
  const std::uint32_t mask = pick_bytes(record.word[0], record.word[1], own.byte) & 0xFF;
  const std::uint32_t at = (record.word[3] & 0xFFFF) + popcount(record.word[0] & own.before[0]) +
                           popcount(record.word[1] & own.before[1]);
  const std::uint32_t low_selector = warp.shuffle(own.selectors, mask & 15);
  const std::uint32_t high_selector = warp.shuffle(own.selectors, mask >> 4);
  const std::uint32_t aligned = at & ~3u;
  const std::uint32_t first = warp.u32(aligned);
  const std::uint32_t second = warp.u32(aligned + 4);
  const std::uint32_t third = warp.u32(aligned + 8);
  const std::uint32_t shift = 8 * (at & 3);
  const std::uint32_t low_data = funnel_right(first, second, shift);
  const std::uint32_t more_data = funnel_right(second, third, shift);
  const std::uint32_t high_data =
      funnel_right_clamped(low_data, more_data, 8 * popcount(mask & 15));

  const std::uint32_t reference = (record.word[3] >> 16) + own.word;
  const std::uint32_t begin = 256 * step;
  const bool refers = (record.word[2] & own.reference) != 0;
  const bool in_step = refers && reference >= begin;
  std::uint32_t low_reference;
  std::uint32_t high_reference;
  warp.u64(refers && !in_step ? kLinePage + reference : kLineZeros, &low_reference,
           &high_reference);
  std::uint32_t low = pick_bytes(low_data, low_reference, low_selector);
  std::uint32_t high = pick_bytes(high_data, high_reference, high_selector);
  // Words that refer to none of this step take their own bytes again: they stay as they are.
  const unsigned from = in_step ? (reference - begin) / 8 : warp.lane();
  PLEAT_UNROLL(3)
  for (unsigned round = 0; round < 3; ++round) {
    low = pick_bytes(low_data, warp.shuffle(low, from), low_selector);
    high = pick_bytes(high_data, warp.shuffle(high, from), high_selector);
  }
  warp.put_u64(kLinePage + begin + 8 * warp.lane(), low, high);
  put_global_u64(page + begin + 8 * warp.lane(), low, high);
}

// Decompresses a block of `size` bytes. `block` is aligned to 16 and readable up to the next
// multiple of 16; the page is aligned to 8. All lanes return the same.
PLEAT_DEVICE PageStatus warp_line_decompress(Warp& warp, const std::byte* block, std::uint32_t size,
                                             std::byte* page) {
  if (size > kLineBlockMax) return PageStatus::kTooLarge;
  if (size < kLineBitmapsBytes) return PageStatus::kCorrupt;
  PLEAT_UNROLL(4)
  for (std::uint32_t at = 16 * warp.lane(); at < size; at += 16 * kWarpLanes) {
    warp.count(kLineStage);
    warp.put_words4(at, global_words4(block + at));
  }
  if (warp.lane() == 0) warp.put_words4(kLineZeros, {});
  warp.sync();
  const std::uint32_t selectors = expand_selector(warp.lane());
  if (!line_parse(warp, size, selectors)) return PageStatus::kCorrupt;
  warp.sync();

  const LineLane own = line_lane(warp.lane(), selectors);
  Words4 record = warp.words4(kLineRecords + 16 * own.line);
  PLEAT_UNROLL(4)
  for (unsigned step = 0; step < 16; ++step) {
    // The last step reads what is no record any more, and nobody uses it.
    const unsigned next = (step + 1) % 16;
    const Words4 next_record = warp.words4(kLineRecords + 16 * (4 * next + own.line));
    line_step(warp, own, step, record, page);
    warp.sync();
    record = next_record;
  }
  return PageStatus::kOk;
}

}  // namespace pleat::gpu
