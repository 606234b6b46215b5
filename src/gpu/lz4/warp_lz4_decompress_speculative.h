// SPDX-License-Identifier: MIT OR Apache-2.0
// Decompression of one LZ4 block of one page by one warp, a phase after the other.
//
// 1. Which bytes are tokens: each lane takes one of 32 neighbouring bytes for a token and finds
//    where its sequence would end; which of the 32 are tokens indeed follows by doubling: what a
//    lane's successor leads to is what the lane leads to.
// 2. Sequences, 32 at a time from the last one to the first, become segments of the page: literals
//    or a match. Of a segment remain a bit in a map of the page's bytes, where it begins, and the
//    distance from its bytes to what they are copies of, a literal's being in the block, which lies
//    before the page.
// 3. The page, 32 bytes at a time, a lane a byte: bits up to a byte count to its segment. A byte
//    whose source is one of the same 32 follows its source's source, again by doubling, so that
//    neither overlapping matches nor chains of matches need an order.
//
// 32 bytes are about 12 instructions for any data, and 8 more where a source is among them. Nothing
// depends on lengths, but for length bytes of 255, which are read apart.
#pragma once

#include "gpu/lz4/lz4_scratch.h"

namespace pleat::gpu {

// Scratch memory behind the block, while there is no page yet: the map, tokens from there upwards,
// and distances from the end downwards, which is why sequences are taken from the last one on. A
// sequence but the last makes 4 bytes of match and, where it has literals, 1 of them at least: so
// with 1023 sequences or less, of which the last n make 4096 bytes or less, there are
// 1023 - n + min(2 n, n + 4096 - 4 n) places in use, at most 1842 of 1920. Of the distances that
// are to be read when a step stores its 32 bytes, all but one are of segments behind it, which have
// 2 bytes a segment: none is overwritten, with 226 bytes to spare.
inline constexpr std::uint32_t kLz4Map = kLz4Page;
inline constexpr std::uint32_t kLz4MapBytes = kPageBytes / 8;
inline constexpr std::uint32_t kLz4Tokens = kLz4Map + kLz4MapBytes;
inline constexpr std::uint32_t kLz4SpeculativeScratch = kLz4Page + kPageBytes + 256;
inline constexpr std::uint32_t kLz4SequencesMax = kLz4MatchEndMax / kLz4MatchMin + 1;
static_assert(kLz4Tokens + 2 * (kLz4SequencesMax + 819) <= kLz4SpeculativeScratch);

enum Lz4SpeculativePhase : unsigned {
  kLz4Window = kLz4OwnPhases,
  kLz4LongWindow,
  kLz4Batch,
  kLz4LongSequence,
  kLz4Steps,
  kLz4Step,
  kLz4StepChain,
};

// A sequence that has a length byte of 255, in phase 1.
inline constexpr std::uint32_t kLz4Long = 0xFFFF;

// Where a sequence that begins at a byte ends, if its length bytes are below 255. All bytes that
// there could be are read, so that nothing waits for a branch.
PLEAT_DEVICE std::uint32_t lz4_sequence_end(Warp& warp, std::uint32_t at) {
  const std::uint32_t token = warp.u8(at);
  const std::uint32_t literals_byte = warp.u8(at + 1);
  // One byte less than none.
  const std::uint32_t more_literals = token >= 0xF0 ? literals_byte : ~0u;
  std::uint32_t end = at + (token >> 4) + 4 + more_literals;
  const std::uint32_t match_byte = warp.u8(end);
  const bool is_more_match = (token & 15) == 15;
  const std::uint32_t more_match = is_more_match ? match_byte : 0;
  if (is_more_match) ++end;
  return ((more_literals == 255) | (more_match == 255)) ? kLz4Long : end;
}

// The same for any, of a token in the block; the block's size for the last one.
PLEAT_DEVICE std::uint32_t lz4_long_sequence_end(Warp& warp, std::uint32_t at, std::uint32_t size) {
  warp.count(kLz4LongWindow);
  const std::uint32_t token = warp.u8(at);
  ++at;
  std::uint32_t literals = token >> 4;
  if (literals == 15) literals = lz4_whole_length(warp, &at, size);
  at += literals + 2;
  if (at < size && (token & 15) == 15) (void)lz4_whole_length(warp, &at, size);
  return at < size ? at : size;
}

// Writes the places of the tokens and returns their number. No byte behind the block is taken for a
// token; what is read there, at most 305 bytes behind it, does not matter.
PLEAT_DEVICE std::uint32_t lz4_find_tokens(Warp& warp, std::uint32_t size) {
  const unsigned lane = warp.lane();
  const std::uint32_t own = 1u << lane;
  const std::uint32_t lanes_below = own - 1;
  std::uint32_t to = kLz4Tokens;
  std::uint32_t begin = 0;
  for (;;) {
    while (begin < size) {
      warp.count(kLz4Window);
      const std::uint32_t at = begin + lane;
      const std::uint32_t end = lz4_sequence_end(warp, at);
      const std::uint32_t limit = begin + kWarpLanes < size ? begin + kWarpLanes : size;
      // The last sequence of the 32 leads to itself.
      unsigned next = end < limit ? end - begin : lane;
      std::uint32_t chain = own;
      // Three rounds reach 8 sequences; the few that 32 bytes may hold beyond are found next time.
      PLEAT_UNROLL(2)
      for (unsigned round = 0; round < 2; ++round) {
        chain |= warp.shuffle(chain, next);
        next = warp.shuffle(next, next);
      }
      chain |= warp.shuffle(chain, next);
      chain = warp.shuffle(chain, 0);
      const std::uint32_t own_to = to + 2 * popcount(chain & lanes_below);
      if ((chain & own) != 0) warp.put_u16(own_to, at);
      to += 2 * popcount(chain);
      begin = warp.shuffle(end, 31 - leading_zeros(chain));
    }
    if (begin != kLz4Long) return (to - kLz4Tokens) / 2;
    // The last token that was found.
    warp.sync();
    begin = lz4_long_sequence_end(warp, warp.u16(to - 2), size);
  }
}

// A sequence as it is in the block.
struct Lz4Sequence {
  std::uint32_t literals_at;
  std::uint32_t literals;
  std::uint32_t offset;
  std::uint32_t match;  // 0 of the last one
};

// Reads a sequence of any lengths.
PLEAT_DEVICE Lz4Sequence lz4_read_long_sequence(Warp& warp, std::uint32_t at, bool has_match,
                                                std::uint32_t size) {
  warp.count(kLz4LongSequence);
  Lz4Sequence sequence = {};
  const std::uint32_t token = warp.u8(at);
  ++at;
  sequence.literals = token >> 4;
  if (sequence.literals == 15) sequence.literals = lz4_whole_length(warp, &at, size);
  sequence.literals_at = at;
  if (has_match) {
    at += sequence.literals;
    sequence.offset = warp.u8(at) | warp.u8(at + 1) << 8;
    at += 2;
    sequence.match = token & 15;
    if (sequence.match == 15) sequence.match = lz4_whole_length(warp, &at, size);
    sequence.match += kLz4MatchMin;
  }
  return sequence;
}

// The same, without branches. Of a sequence with a match, all bytes are in the block, since another
// one follows.
PLEAT_DEVICE Lz4Sequence lz4_read_sequence(Warp& warp, std::uint32_t at, bool has_match,
                                           std::uint32_t size) {
  const std::uint32_t token = warp.u8(at);
  const std::uint32_t literals_byte = warp.u8(at + 1);
  const bool is_more_literals = token >= 0xF0;
  const std::uint32_t more_literals = is_more_literals ? literals_byte : 0;
  Lz4Sequence sequence;
  sequence.literals = (token >> 4) + more_literals;
  sequence.literals_at = at + (is_more_literals ? 2 : 1);
  // Without a match, what lies somewhere in the scratch memory.
  const std::uint32_t offset_at = has_match ? sequence.literals_at + sequence.literals : 0;
  sequence.offset = warp.u8(offset_at) | warp.u8(offset_at + 1) << 8;
  const std::uint32_t match_byte = warp.u8(offset_at + 2);
  const std::uint32_t match_code = has_match ? token & 15 : 0;
  const std::uint32_t more_match = match_code == 15 ? match_byte : 0;
  sequence.match = has_match ? match_code + more_match + kLz4MatchMin : 0;
  if ((more_literals == 255) | (more_match == 255)) {
    return lz4_read_long_sequence(warp, at, has_match, size);
  }
  return sequence;
}

// Makes segments of the sequences and returns where their distances begin; 0 if a rule is broken.
PLEAT_DEVICE std::uint32_t lz4_make_segments(Warp& warp, std::uint32_t count, std::uint32_t size) {
  std::uint32_t distances = kLz4SpeculativeScratch;
  std::uint32_t page_end = kPageBytes;
  for (std::uint32_t end = count; end != 0;) {
    warp.count(kLz4Batch);
    // Tokens are there; and distances may replace those that lanes have read before.
    warp.sync();
    const std::uint32_t sequences = end < kWarpLanes ? end : kWarpLanes;
    end -= sequences;
    const bool is_one = warp.lane() < sequences;
    const bool is_last = end + warp.lane() + 1 == count;
    // The lanes without a sequence read what is in the block.
    const std::uint32_t at = is_one ? warp.u16(kLz4Tokens + 2 * (end + warp.lane())) : 0;
    Lz4Sequence sequence = lz4_read_sequence(warp, at, is_one && !is_last, size);
    if (!is_one) sequence.literals = 0;
    // Anything over a page is as bad as a page more.
    constexpr std::uint32_t kTooMany = 2 * kPageBytes - 1;
    const std::uint32_t bytes = sequence.literals + sequence.match;
    const std::uint32_t segments = (sequence.literals != 0) + (sequence.match != 0);
    std::uint32_t total;
    const std::uint32_t before =
        scan_below(warp, (bytes < kTooMany ? bytes : kTooMany) | segments << 20, &total);
    const std::uint32_t total_bytes = total & 0xFFFFF;
    const std::uint32_t literals_to = page_end - total_bytes + (before & 0xFFFFF);
    const std::uint32_t match_to = literals_to + sequence.literals;
    const bool good_match = sequence.offset - 1 < match_to && match_to <= kLz4MatchStartMax &&
                            match_to + sequence.match <= kLz4MatchEndMax;
    const bool good_last = sequence.literals_at + sequence.literals == size;
    const bool good = !is_one || (is_last ? good_last : good_match);
    if (!warp.all(good && total_bytes <= page_end)) return 0;
    page_end -= total_bytes;
    distances -= total >> 20 << 1;
    std::uint32_t to = distances + (before >> 20 << 1);
    if (sequence.literals != 0) {
      warp.put_u16(to, kLz4Page + literals_to - sequence.literals_at);
      warp.or_u32(kLz4Map + (literals_to >> 5 << 2), 1u << (literals_to & 31));
      to += 2;
    }
    if (sequence.match != 0) {
      warp.put_u16(to, sequence.offset);
      warp.or_u32(kLz4Map + (match_to >> 5 << 2), 1u << (match_to & 31));
    }
  }
  return page_end == 0 ? distances : 0;
}

// The lane's byte of 32 of the page at `begin`.
PLEAT_DEVICE void lz4_make_bytes(Warp& warp, std::uint32_t begin, std::uint32_t distance) {
  warp.count(kLz4Step);
  std::uint32_t from = begin + warp.lane() - distance;
  const bool is_here = distance <= warp.lane();
  if (warp.any(is_here)) {
    warp.count(kLz4StepChain);
    // Lanes are the lowest bits of places: the page is aligned to 32.
    std::uint32_t next = is_here ? from : warp.lane();
    PLEAT_UNROLL(5)
    for (unsigned round = 0; round < 5; ++round) next = warp.shuffle(next, next);
    from = warp.shuffle(from, next);
  }
  warp.put_u8(begin + warp.lane(), warp.u8(from));
  warp.sync();
}

PLEAT_DEVICE void lz4_make_page(Warp& warp, std::uint32_t distances) {
  // A lane has the parts of the map of four steps.
  const Words4 maps = warp.words4(kLz4Map + 16 * warp.lane());
  warp.sync();
  const std::uint32_t lanes_up_to = 0xFFFFFFFF >> (31 - warp.lane());
  // Where the distance of the last segment so far lies.
  std::uint32_t segment = distances - 2;
  std::uint32_t begin = kLz4Page;
  PLEAT_UNROLL(2)
  for (unsigned part = 0; part < kWarpLanes; ++part) {
    warp.count(kLz4Steps);
    // Distances do not depend on bytes: those of four steps are read at once, before any byte.
    std::uint32_t distance[4];
    PLEAT_UNROLL(4)
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint32_t map = warp.shuffle(maps.word[i], part);
      const std::uint32_t at = segment + 2 * popcount(map & lanes_up_to);
      distance[i] = warp.u16(at);
      segment = warp.shuffle(at, kWarpLanes - 1);
    }
    PLEAT_UNROLL(4)
    for (unsigned i = 0; i < 4; ++i) {
      lz4_make_bytes(warp, begin, distance[i]);
      begin += kWarpLanes;
    }
  }
}

// Decompresses a block of `size` bytes. `block` is aligned to 16 and readable up to the next
// multiple of 16; the page is aligned to 16. All lanes return the same.
PLEAT_DEVICE PageStatus warp_lz4_decompress_speculative(Warp& warp, const std::byte* block,
                                                        std::uint32_t size, std::byte* page) {
  if (size > kLz4BlockMax) return PageStatus::kTooLarge;
  lz4_stage_block(warp, block, size);
  warp.put_words4(kLz4Map + 16 * warp.lane(), {});
  warp.sync();
  const std::uint32_t count = lz4_find_tokens(warp, size);
  if (count == 0 || count > kLz4SequencesMax) return PageStatus::kCorrupt;
  const std::uint32_t distances = lz4_make_segments(warp, count, size);
  if (distances == 0) return PageStatus::kCorrupt;
  warp.sync();
  lz4_make_page(warp, distances);
  lz4_store_page(warp, page);
  return PageStatus::kOk;
}

}  // namespace pleat::gpu
