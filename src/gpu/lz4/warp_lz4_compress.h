// SPDX-License-Identifier: MIT OR Apache-2.0
// Compression of one page to a standard LZ4 block (docs/formats/lz4.md) by one warp.
//
// The search goes through the page in steps of 32 positions, a lane each: a step looks up all of
// them, then enters all of them in the table. Which matches of a step are taken is decided one
// after the other, but what a match takes is little: with its offset known, one comparison of a
// byte a lane and a vote say how far it reaches in the step, forwards and backwards. Only a match
// that reaches the step's end is followed beyond, 128 bytes at a time.
//
// Each sequence stays in the registers of a lane until there are 32; then their places in the block
// follow from one scan, and the literals of all go out together, 32 bytes at a time.
#pragma once

#include "gpu/page_bytes.h"
#include "gpu/simt/simt.h"

namespace pleat::gpu {

// Scratch memory: the page, what may be read behind it, the table, the runs of literals. Twice the
// entries make blocks shorter by 0.6 %, and let a quarter fewer warps run at once.
inline constexpr std::uint32_t kLz4CompressPage = 0;
inline constexpr std::uint32_t kLz4Table = kLz4CompressPage + kPageBytes + 32;
inline constexpr std::uint32_t kLz4TableBits = 10;
inline constexpr std::uint32_t kLz4Runs = kLz4Table + (2u << kLz4TableBits);
inline constexpr std::uint32_t kLz4CompressScratch = kLz4Runs + 4 * kWarpLanes;

// The format's end of a block: where a match may begin at the latest, and end.
inline constexpr std::uint32_t kLz4LastMatch = kPageBytes - 12;
inline constexpr std::uint32_t kLz4MatchesEnd = kPageBytes - 5;
inline constexpr std::uint32_t kLz4MinMatch = 4;

// What a step can have of them.
inline constexpr unsigned kLz4StepSequences = kWarpLanes / kLz4MinMatch;

enum Lz4CompressPhase : unsigned {
  kLz4CompressStage,
  kLz4CompressStep,
  kLz4CompressSequence,
  kLz4CompressBeyond,
  kLz4CompressExtend,
  kLz4CompressBatch,
  kLz4CompressLengthByte,
  kLz4CompressLiterals,
};

// A step of the search. Its last position is lane 0's, so that the first lane of interest is the
// highest bit of a vote, which a GPU finds by one instruction.
struct Lz4Step {
  std::uint32_t end;      // behind its last position
  std::uint32_t matches;  // the lanes where a match begins that is worth taking
  std::uint32_t taken;    // the lanes that are not behind the last match that was taken
  // The lane's own:
  std::uint32_t at;      // where its position is in the scratch memory
  std::uint32_t offset;  // of its match
  std::uint32_t byte;    // at its position, or what is no byte where a match has to end
};

// A lane holds one: where its match begins and ends, and how far back it is copied from.
struct Lz4Match {
  std::uint32_t start;
  std::uint32_t end;
  std::uint32_t offset;
};

// Puts the page into the scratch memory and clears the table. An empty entry is position 0, which
// holds data like any other and is where no match begins.
PLEAT_DEVICE void lz4_stage(Warp& warp, const std::byte* page) {
  const std::uint32_t first = 16 * warp.lane();
  PLEAT_UNROLL(2)
  for (std::uint32_t begin = 0; begin < kPageBytes; begin += 64 * kWarpLanes) {
    warp.count(kLz4CompressStage);
    // All of them are on their way before the first one is waited for.
    Words4 words[4];
    PLEAT_UNROLL(4)
    for (std::uint32_t i = 0; i < 4; ++i) {
      words[i] = global_words4(page + begin + first + 16 * kWarpLanes * i);
    }
    PLEAT_UNROLL(4)
    for (std::uint32_t i = 0; i < 4; ++i) {
      warp.put_words4(kLz4CompressPage + begin + first + 16 * kWarpLanes * i, words[i]);
    }
  }
  PLEAT_UNROLL(4)
  for (std::uint32_t at = 0; at < 2u << kLz4TableBits; at += 16 * kWarpLanes) {
    warp.put_words4(kLz4Table + first + at, {});
  }
}

PLEAT_DEVICE void lz4_search(Warp& warp, Lz4Step& step, std::uint32_t begin) {
  step.end = begin + kWarpLanes;
  const std::uint32_t position = step.end - 1 - warp.lane();
  const std::uint32_t at = kLz4CompressPage + (position & ~3u);
  const std::uint32_t shift = 8 * position;  // modulo 32
  const std::uint32_t middle = warp.u32(at + 4);
  const std::uint32_t first = funnel_right(warp.u32(at), middle, shift);
  const std::uint32_t second = funnel_right(middle, warp.u32(at + 8), shift);
  // Of five bytes: of four, the table forgets what is worth more. The second factor leaves only
  // the fifth in the bits that count.
  const std::uint32_t hash = (first * 0x9E3779B1 + second * 0xB5000000) >> (32 - kLz4TableBits);
  const std::uint32_t entry = kLz4Table + 2 * hash;

  // What the step before entered has to be there.
  warp.sync();
  const std::uint32_t entered = warp.u16(entry);
  const std::uint32_t same = warp.match_any(hash);
  // The nearest position before this one, of the step or else of the table.
  const std::uint32_t before = same & (0xFFFFFFFE << warp.lane());
  const std::uint32_t candidate = before != 0 ? begin + 31 - trailing_zeros(before) : entered;
  warp.sync();
  if ((same & ((1u << warp.lane()) - 1)) == 0) warp.put_u16(entry, position);

  const std::uint32_t from = kLz4CompressPage + (candidate & ~3u);
  const std::uint32_t from_shift = 8 * candidate;
  const std::uint32_t from_middle = warp.u32(from + 4);
  const std::uint32_t from_first = funnel_right(warp.u32(from), from_middle, from_shift);
  const std::uint32_t from_second = funnel_right(from_middle, warp.u32(from + 8), from_shift);
  const std::uint32_t fours = warp.ballot(from_first == first && position <= kLz4LastMatch);
  const std::uint32_t eights = warp.ballot(from_first == first && from_second == second);
  // A short match is not worth a longer one that begins one or two bytes further.
  step.matches = fours & (eights | ~(eights << 1 | eights << 2));
  step.taken = 0;
  step.at = kLz4CompressPage + position;
  step.offset = position - candidate;
  step.byte = position < kLz4MatchesEnd ? first & 0xFF : 0x100;
}

// Where a match ends that holds up to `end`.
PLEAT_DEVICE std::uint32_t lz4_extend(Warp& warp, std::uint32_t end, std::uint32_t offset) {
  // Few matches go on for long, so a byte a lane is less work than a word that is not aligned. It
  // also leaves all that loops depend on to votes, of which the compiler knows that they are the
  // same for all lanes: otherwise it prepares each collective for lanes that come one by one.
  for (;;) {
    warp.count(kLz4CompressExtend);
    const std::uint32_t at = end + warp.lane();
    const std::uint32_t unequal =
        warp.ballot(at >= kLz4MatchesEnd ||
                    warp.u8(kLz4CompressPage + at) != warp.u8(kLz4CompressPage + at - offset));
    if (unequal != 0) return end + trailing_zeros(unequal);
    end += kWarpLanes;
  }
}

// Takes the first match of the step, as far as it reaches in the step.
PLEAT_DEVICE Lz4Match lz4_take(Warp& warp, Lz4Step& step) {
  const std::uint32_t lane = highest_bit(step.matches);
  Lz4Match sequence;
  sequence.offset = warp.shuffle(step.offset, lane);
  const bool differs = step.at < kLz4CompressPage + sequence.offset ||
                       warp.u8(step.at - sequence.offset) != step.byte;
  const std::uint32_t unequal = warp.ballot(differs);
  const std::uint32_t back = 0xFFFFFFFF << lane;  // this lane and those before it
  // The number of lanes behind the match, and that of those up to the last one that it does not
  // hold before it.
  const std::uint32_t behind = highest_bit(unequal & ~back) + 1;
  const std::uint32_t starts = trailing_zeros((unequal | step.taken) & back);
  sequence.start = step.end - starts;
  sequence.end = step.end - behind;
  step.taken = 0xFFFFFFFF << behind;
  step.matches &= ~step.taken;
  return sequence;
}

// The bytes that follow a length in a token, or its 4 bits are enough.
PLEAT_DEVICE std::uint32_t lz4_length_bytes(std::uint32_t length) {
  // (length + 240) / 255, up to 65535.
  return (length + 240) * 0x8081 >> 23;
}
PLEAT_DEVICE void lz4_put_length(Warp& warp, std::byte* to, std::uint32_t length,
                                 std::uint32_t bytes) {
  PLEAT_UNROLL(1)
  for (std::uint32_t i = 0; i < bytes; ++i) {
    warp.count(kLz4CompressLengthByte);
    put_global_u8(to + i, i + 1 < bytes ? 255 : length + 240 - 255 * bytes);
  }
}

// A place in the page, and in the block above it.
inline constexpr std::uint32_t kLz4BothPlaces = 0x10001;

// Appends the sequences of the first `count` lanes to the block at *size; `last` where the highest
// of them has no match; *anchor is the end of what the block holds. False where they do not fit.
PLEAT_DEVICE bool lz4_emit(Warp& warp, const Lz4Match& sequence, unsigned count, bool last,
                           std::byte* block, std::uint32_t capacity, std::uint32_t* anchor,
                           std::uint32_t* size) {
  const bool mine = warp.lane() < count;
  const bool has_match = warp.lane() + (last ? 1 : 0) < count;
  const std::uint32_t end_before = warp.shuffle_up(sequence.end, 1);
  const std::uint32_t begin_literals = warp.lane() == 0 ? *anchor : end_before;
  *anchor = warp.shuffle(sequence.end, count - 1);
  const std::uint32_t literals = mine ? sequence.start - begin_literals : 0;
  const std::uint32_t match = has_match ? sequence.end - sequence.start - kLz4MinMatch : 0;
  const std::uint32_t literal_bytes = lz4_length_bytes(literals);
  const std::uint32_t match_bytes = lz4_length_bytes(match);
  const std::uint32_t bytes =
      (mine ? 1 : 0) + literal_bytes + literals + (has_match ? 2 : 0) + match_bytes;
  std::uint32_t totals;
  const std::uint32_t sums = scan_below(warp, literals << 16 | bytes, &totals);
  const std::uint32_t total = totals & 0xFFFF;
  const std::uint32_t all_literals = totals >> 16;
  if (*size + total > capacity) return false;

  const std::uint32_t begin = *size + (sums & 0xFFFF);
  const std::uint32_t place = begin + 1 + literal_bytes;  // of the literals
  const std::uint32_t before = sums >> 16;                // literals of lanes below
  // A run says how its literals' numbers become places in the page, below, and in the block: by a
  // sum of both at once. Those of the batch before were read before the steps between.
  const std::uint32_t with_literals = warp.ballot(literals != 0);
  if (literals != 0) {
    const std::uint32_t rank = popcount(with_literals & ((1u << warp.lane()) - 1));
    warp.put_u32(kLz4Runs + 4 * rank, begin_literals + (place << 16) - kLz4BothPlaces * before);
  }
  warp.sync();
  if (mine) {
    put_global_u8(block + begin, (literals < 15 ? literals : 15) << 4 | (match < 15 ? match : 15));
    lz4_put_length(warp, block + begin + 1, literals, literal_bytes);
  }
  if (has_match) {
    std::byte* const behind = block + place + literals;
    put_global_u8(behind, sequence.offset & 0xFF);
    put_global_u8(behind + 1, sequence.offset >> 8);
    lz4_put_length(warp, behind + 2, match, match_bytes);
  }

  std::uint32_t runs = kLz4Runs - 4;  // the last one that began before the step
  // Up to where this lane's run begins, which it does in one step; or in none.
  std::uint32_t distance = literals != 0 ? before : 0x80000000;
  PLEAT_UNROLL(1)
  for (std::uint32_t first = 0; first < all_literals; first += kWarpLanes) {
    warp.count(kLz4CompressLiterals);
    // Where runs begin, the step's first literal in the highest bit.
    const std::uint32_t starts = warp.reduce_or(funnel_right_clamped(0x80000000, 0, distance));
    const std::uint32_t number = first + warp.lane();
    const std::uint32_t run =
        warp.u32(runs + 4 * popcount(starts >> (kWarpLanes - 1 - warp.lane())));
    const std::uint32_t places = run + kLz4BothPlaces * number;
    // Behind the last one, this is what lies behind the page.
    const std::uint32_t literal = warp.u8(kLz4CompressPage + (places & 0xFFFF));
    if (number < all_literals) put_global_u8(block + (places >> 16), literal);
    runs += 4 * popcount(starts);
    distance -= kWarpLanes;
  }
  *size += total;
  return true;
}

// The size of the block in all lanes, or 0 where it takes more than `capacity` bytes, which is a
// multiple of 16 and at most 4096. Page and block are aligned to 16. The block depends on the page
// alone; behind the capacity nothing is written.
PLEAT_DEVICE std::uint32_t warp_lz4_compress(Warp& warp, const std::byte* page, std::byte* block,
                                             std::uint32_t capacity) {
  lz4_stage(warp, page);
  warp.sync();
  Lz4Match sequence = {};  // the lane's
  std::uint32_t next = 1;  // where the next step begins
  std::uint32_t anchor = 0;
  std::uint32_t size = 0;
  for (;;) {
    unsigned count = 0;
    while (next <= kLz4LastMatch && count < kWarpLanes - kLz4StepSequences) {
      warp.count(kLz4CompressStep);
      Lz4Step step;
      lz4_search(warp, step, next);
      Lz4Match taken = {};
      while (step.matches != 0) {
        warp.count(kLz4CompressSequence);
        taken = lz4_take(warp, step);
        if (warp.lane() == count) sequence = taken;
        ++count;
      }
      next = step.end;
      if (step.taken == 0xFFFFFFFF) {  // up to the step's end
        warp.count(kLz4CompressBeyond);
        next = lz4_extend(warp, next, taken.offset);
        if (warp.lane() + 1 == count) sequence.end = next;
      }
    }
    warp.count(kLz4CompressBatch);
    // There is a lane left for the literals behind the last match.
    const bool last = next > kLz4LastMatch;
    if (last) {
      if (warp.lane() == count) sequence.start = kPageBytes;
      ++count;
    }
    if (!lz4_emit(warp, sequence, count, last, block, capacity, &anchor, &size)) return 0;
    if (last) return size;
  }
}

}  // namespace pleat::gpu
