// SPDX-License-Identifier: MIT OR Apache-2.0
// Compression of a page to the line format (docs/formats/line.md) by one warp.
//
// When the symbols of all lines are chosen (warp_line_search.h), scans give each part of the block
// its place, and in 8 steps, a lane two words, the raw bytes are written to where they belong. The
// block grows in the scratch memory below the page and over it, behind the words that were read.
#pragma once

#include "gpu/line/warp_line_search.h"

namespace pleat::gpu {

namespace line_out {

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

// The words whose symbols have masks of their own, bit w.
PLEAT_DEVICE std::uint32_t own_masks(std::uint32_t symbols) {
  const std::uint32_t own = symbols >> 3 & symbols >> 2 & symbols >> 1 & 0x11111111;
  return own * 0x01020408 >> 24;
}

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
  const std::uint32_t of_first_half = filled[0] != 0 ? last : 0;
  const std::uint32_t inherited[2] = {filled_before[0] != 0 ? before[0] : 0,
                                      filled_before[1] != 0 ? before[1] : of_first_half};
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

// The lane's place in a step, which does not change: two words of one of eight lines.
struct Place {
  std::uint32_t bytes;      // selects the words' masks
  std::uint32_t before[2];  // the masks of the words before them
};
PLEAT_DEVICE Place place_of(unsigned lane) {
  const unsigned word = 2 * (lane % 4);
  return {
      word | (word + 1) << 4,
      {word < 4 ? lanes_below(8 * word) : 0xFFFFFFFF, word < 4 ? 0 : lanes_below(8 * (word - 4))}};
}

// The raw bytes of eight lines. Where the page was, there are zeros for the block.
PLEAT_DEVICE void put_raw(Warp& warp, unsigned step, const Place& place, std::uint32_t upper,
                          std::uint32_t lower) {
  warp.count(kLineRaw);
  const std::uint32_t at = kPage + 512 * step + 16 * warp.lane();
  const Words4 words = warp.words4(at);
  warp.put_words4(at, {});
  const Words4 line = warp.words4(kLines + 128 * step + 16 * (warp.lane() / 4));
  warp.sync();
  const std::uint32_t masks = pick_bytes(line.word[0], line.word[1], place.bytes);
  const std::uint32_t raw_at = line.word[2] + popcount(line.word[0] & place.before[0]) +
                               popcount(line.word[1] & place.before[1]);
  add_picked(warp, raw_at, pick(warp, words.word[0], words.word[1], masks, upper, lower));
  add_picked(warp, raw_at + popcount(masks & 0xFF),
             pick(warp, words.word[2], words.word[3], masks >> 8, upper, lower));
}

}  // namespace line_out

inline constexpr std::uint32_t kLineCompressScratch = line_out::kEnd;

// Compresses a page to at most `capacity` bytes, a multiple of 16 and at most 4096, and zeros up to
// the next multiple of 16. Both are aligned to 16. Returns the block's size in all lanes, or 0
// where it does not fit; nothing is written then.
PLEAT_DEVICE std::uint32_t warp_line_compress(Warp& warp, const std::byte* page, std::byte* block,
                                              std::uint32_t capacity) {
  line_out::find_all(warp, page);
  const std::uint32_t upper = global_u32(&line_out::kTables.upper[warp.lane()]);
  const std::uint32_t lower = global_u32(&line_out::kTables.lower[warp.lane()]);
  warp.sync();
  line_out::choose(warp);
  const std::uint32_t size = line_out::put_header(warp, capacity, upper, lower);
  if (size > capacity) return 0;
  warp.sync();
  const line_out::Place place = line_out::place_of(warp.lane());
  PLEAT_UNROLL(4)
  for (unsigned step = 0; step < 8; ++step) line_out::put_raw(warp, step, place, upper, lower);
  warp.sync();
  for (std::uint32_t at = 16 * warp.lane(); at < size; at += 16 * kWarpLanes) {
    warp.count(kLineFlush);
    put_global_words4(block + at, warp.words4(at));
  }
  return size;
}

}  // namespace pleat::gpu
