// SPDX-License-Identifier: MIT OR Apache-2.0
// What the codec lz4hc works with while it compresses a page: chains of equal bytes, the matches
// found over them, and the price of the rest of the page from each position (hc_*.inl, in this
// order). Of a group, the chains are those of all pages; the rest is done for one page after the
// other, and matches end with their page, so that prices stay numbers of 16 bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/page.h"
#include "codec/lz4/format.h"

namespace pleat::codec {

// A page of a block: where it begins and ends, the last position that a match may start at, and
// where matches end at the latest.
struct Lz4HcPart {
  unsigned begin;
  unsigned end;
  unsigned last_start;
  unsigned match_end;
};
constexpr Lz4HcPart lz4hc_part(unsigned index, unsigned count) {
  const auto begin = index * static_cast<unsigned>(kPageSize);
  const auto end = begin + static_cast<unsigned>(kPageSize);
  if (index + 1 != count) return {begin, end, end - static_cast<unsigned>(kMinMatch), end};
  return {begin, end, end - static_cast<unsigned>(kMatchStartMargin),
          end - static_cast<unsigned>(kLastLiterals)};
}

inline constexpr unsigned kLz4HcHashBits = 14;

// The work on one page, in candidates looked at; comparing 32 bytes counts as one more. A position
// is given at most kLz4HcWorkPerStart, and less as the page's allowance is used up, but always
// kLz4HcWorkLeast. Pages of real programs use 2000 to 5000.
inline constexpr unsigned kLz4HcWorkAllowance = 16000;
inline constexpr unsigned kLz4HcWorkPerStart = 128;
inline constexpr unsigned kLz4HcWorkLeast = 6;
inline constexpr unsigned kLz4HcWorkShare = 96;
// What no page takes more than. Beyond the allowance, each position has its least; and a
// comparison is paid for by the bytes that its match goes on by, but for the last one of a
// position, which may exceed what it was given.
inline constexpr unsigned kLz4HcWorkMost =
    kLz4HcWorkAllowance + (kLz4HcWorkLeast + 1) * kPageSize + 2 * kLz4HcWorkLeast * kPageSize / 32;
// A match of this length is not searched any further.
inline constexpr unsigned kLz4HcLongEnough = 160;

// page[start, end) repeats what lies `offset` bytes before it, in this page or one before.
struct Lz4HcMatch {
  std::uint16_t start;
  std::uint16_t end;
  std::uint16_t offset;
};

// Prices are in eighths of a byte, so that of two parses of one size the one with fewer sequences,
// which is decompressed faster, is cheaper.
inline constexpr unsigned kByteCost = 8;
// A token, an offset, and being a sequence.
inline constexpr unsigned kMatchCost = 3 * kByteCost + 1;
// The longest match without a length byte.
inline constexpr unsigned kShortMatch = kMinMatch + kLongLength - 1;
static_assert(kLz4Bound * kByteCost + kPageSize / kMinMatch < 0xffff);

// Prices are computed sixteen positions at a time, from the page's end to its start, and the last
// sixteen may begin before it.
inline constexpr unsigned kLz4HcLanes = 16;

struct Lz4HcPrices {
  // The cost of the page from this position on, in eighths of a byte; index kLz4HcLanes is
  // position 0.
  std::uint16_t costs[kLz4HcLanes + kPageSize + 3 * kLz4HcLanes];
  // The match that the cheapest parse from here on uses next; it starts here or later.
  std::uint16_t choices[kLz4HcLanes + kPageSize + 3 * kLz4HcLanes];
};

struct Lz4HcParse {
  // From 1 on: each begins behind where the one before it begins, and ends behind where that ends.
  // At most one for each position at which a match may start.
  Lz4HcMatch matches[kPageSize];
  Lz4HcPrices prices;
};

template <unsigned kPages>
struct Lz4HcBlockWorkspace {
  // The chains' heads are not needed any more when matches are found.
  union {
    // The last position in the block whose 4 bytes have this hash, or -1.
    alignas(64) std::int16_t heads[std::size_t{1} << kLz4HcHashBits];
    alignas(64) Lz4HcParse parse;
  };
  // The position before this one in the chain of its hash, or -1. Inside a run of one byte it is
  // that of the run's start, so that a chain meets each run once, at its last four bytes.
  alignas(64) std::int16_t previous[kPages * kPageSize];
  // One bit a position: whether its chain has more than itself.
  std::uint64_t linked[kPages * kPageSize / 64];
  unsigned match_count;
  // What the block took, of which tests know the bound.
  unsigned work;
  alignas(64) std::byte block[lz4_bound(kPages * kPageSize) + kLz4BlockSlack];
};
struct Lz4HcWorkspace : Lz4HcBlockWorkspace<1> {};
struct Lz4HcGroupWorkspace : Lz4HcBlockWorkspace<kGroupPages> {};
static_assert(sizeof(Lz4HcWorkspace) <= 64 * 1024);

}  // namespace pleat::codec
