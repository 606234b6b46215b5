// SPDX-License-Identifier: MIT OR Apache-2.0
// Where everything lies in the store's memory (docs/formats/store.md):
//
//   header page | counters | slot table | page map | region words | block counts | pool
//
// There is no pointer in it, and no lock but a slot word's: a process that attaches to it can map
// it anywhere. Page map, region words and block counts can be worked out again from slot words and
// object headers, except the bits of a raw page's check that the page map keeps.
//
// Thread safety: immutable values.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/page.h"
#include "store/counters.h"
#include "store/size_class.h"
#include "store/slot_word.h"

namespace pleat::store {

// A region is as many pool pages as a word has bits. A span lies within one.
inline constexpr unsigned kRegionPages = 64;
static_assert(kSpanPagesMax <= kRegionPages);

// Object headers have 32 bits for the slot.
inline constexpr std::uint64_t kDeviceBytesMax = kPageSize << 32;

// First in the memory; written once.
struct StoreHeader {
  static constexpr std::uint64_t kMagic = 0x5254535441454c50;  // "PLEATSTR" in memory
  static constexpr std::uint32_t kVersion = 8;

  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t page_bytes;
  std::uint64_t device_bytes_max;
  std::uint64_t counters_offset;
  std::uint64_t slot_table_offset;
  std::uint64_t page_map_offset;
  std::uint64_t region_words_offset;
  std::uint64_t block_counts_offset;
  std::uint64_t pool_offset;
  std::uint64_t pool_pages;

  bool operator==(const StoreHeader&) const = default;
};
static_assert(sizeof(StoreHeader) == 80);

// What else is in the header's page.
struct StoreVariables {
  std::atomic<std::uint64_t> slots;            // the device's size
  std::atomic<std::uint64_t> writeback_limit;  // blocks that writeback may write, if there is one
  std::atomic<std::uint64_t> has_writeback_limit;
  std::array<std::byte, 16> backing_id;       // the label of the backing device; written once
  std::atomic<std::uint64_t> pages_used_max;  // of the pool, since the last reset
};
inline constexpr std::uint64_t kVariablesOffset = 128;
static_assert(kVariablesOffset >= sizeof(StoreHeader) && sizeof(StoreVariables) == 48);

// Which pages of a region are there, and which of these hold nothing. A ready page is present.
struct RegionWords {
  std::uint64_t present;
  std::uint64_t ready;
};

struct Layout {
  std::uint64_t slots_max = 0;
  std::uint64_t counters_offset = 0;
  std::uint64_t slot_table_offset = 0;
  std::uint64_t page_map_offset = 0;
  std::uint64_t region_words_offset = 0;
  std::uint64_t block_counts_offset = 0;
  std::uint64_t blocks = 0;  // of the backing device
  std::uint64_t pool_offset = 0;
  std::uint64_t pool_pages = 0;  // a multiple of kRegionPages
  std::uint64_t total_bytes = 0;

  constexpr std::uint64_t regions() const { return pool_pages / kRegionPages; }
};

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// For devices of up to `device_bytes_max`. `reserve_pages` is how much the background thread keeps
// ready, `counters` how many parts the counts have, `backing_bytes` the backing device's size.
constexpr Layout make_layout(std::uint64_t device_bytes_max, std::uint64_t reserve_pages,
                             unsigned counters, std::uint64_t backing_bytes) {
  Layout layout;
  layout.slots_max = device_bytes_max / kPageSize;
  // Address space only: every page of the device stored raw; a half-empty span of every class; an
  // eighth for spans that discards have left sparse; twice the reserve.
  const std::uint64_t wanted = layout.slots_max + layout.slots_max / 8 +
                               kSizeClasses.count * kSpanPagesMax + 2 * reserve_pages;
  layout.pool_pages = std::min(round_up(wanted, kRegionPages), kPoolBytesMax / kPageSize);
  layout.counters_offset = kPageSize;
  layout.slot_table_offset =
      layout.counters_offset + round_up(counters * sizeof(Counters), kPageSize);
  layout.page_map_offset =
      layout.slot_table_offset + round_up(layout.slots_max * sizeof(SlotWord), kPageSize);
  layout.region_words_offset =
      layout.page_map_offset + round_up(layout.pool_pages * sizeof(std::uint16_t), kPageSize);
  layout.block_counts_offset =
      layout.region_words_offset + round_up(layout.regions() * sizeof(RegionWords), kPageSize);
  layout.blocks = backing_bytes / kPageSize;
  layout.pool_offset = layout.block_counts_offset + round_up(layout.blocks, kPageSize);
  layout.total_bytes = layout.pool_offset + layout.pool_pages * kPageSize;
  return layout;
}

}  // namespace pleat::store
