// SPDX-License-Identifier: MIT OR Apache-2.0
// A session: one thread's way through the store. Here a page becomes a slot word and an object, and
// back.
//
// Thread safety: one thread at a time. What it does on a slot it publishes by one compare-and-swap
// of the slot word, or while it holds the word's lock bit.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "codec/page_codec.h"
#include "store/counters.h"
#include "store/group.h"
#include "store/object.h"
#include "store/size_class.h"
#include "store/slot_word.h"
#include "store/state.h"
#include "store/store.h"

namespace pleat::store {

struct Store::Session::Impl {
  Impl(State& store_state, std::size_t session_index, codec::PageCodec page_codec);
  ~Impl();

  // Makes an object of the page where it needs one, and the word for it, which nobody sees until it
  // is published. Where the reserve is empty it waits for more if more can be expected soon.
  StoreStatus encode(std::uint64_t slot, const std::byte* page, SlotWord* word) noexcept;
  StoreStatus encode_once(std::uint64_t slot, const std::byte* page, SlotWord* word) noexcept;
  StoreStatus encode_same(std::uint64_t slot, std::uint64_t pattern, SlotWord* word) noexcept;
  StoreStatus encode_raw(std::uint64_t slot, const std::byte* page, SlotWord* word) noexcept;
  void fill_object(std::uint64_t slot, SlotWord word, const std::byte* data,
                   std::size_t length) noexcept;

  // The page that a word says; the word is inlined, or written back, or its lock held.
  StoreStatus decode(std::uint64_t slot, SlotWord word, std::byte* page) noexcept;
  StoreStatus decode_object(std::uint64_t slot, SlotWord word, std::byte* page) noexcept;
  StoreStatus decode_raw(std::uint64_t slot, SlotWord word, std::byte* page) noexcept;
  StoreStatus decode_grouped(std::uint64_t slot, SlotWord word, std::byte* page) noexcept;
  StoreStatus decode_written_back(std::uint64_t slot, SlotWord word, std::byte* page) noexcept;
  // The same of an object's bytes, header and all; of a raw page as well.
  StoreStatus decode_bytes(std::uint64_t slot, SlotWord word, const std::byte* object,
                           std::byte* page) noexcept;
  // Counts what kept a page from being decoded, and zeroes it.
  void note_damage(StoreStatus status, std::byte* page) noexcept;

  // Whether one of `count` words from the slot's on is as asked for.
  template <typename Predicate>
  bool has_word(std::uint64_t slot, std::uint64_t count, Predicate&& is_one) const noexcept {
    for (std::uint64_t i = slot; i < slot + count; ++i) {
      if (is_one(SlotWord(state.slot_word(i).load(std::memory_order_relaxed)))) return true;
    }
    return false;
  }

  // What the slot's word, which is replaced now, has had.
  void free_object(std::uint64_t slot, SlotWord word) noexcept;
  bool has_own_object(std::uint64_t slot, SlotWord word) const noexcept;
  void mend_group(std::uint64_t first, SlotWord member) noexcept;
  // Asks for what that will write first.
  void prefetch_object(std::uint64_t slot) const noexcept;
  // Counts that `fresh` has replaced the slot's word `old`, and frees what that had.
  void replaced(std::uint64_t slot, SlotWord old, SlotWord fresh) noexcept;
  StoreStatus failed_write(StoreStatus status) noexcept;

  State& state;
  Pool& pool;
  Counters& counters;
  const std::size_t index;
  codec::PageCodec codec;
  alignas(
      64) std::array<std::byte, kPageSize> compressed;   // the first kCompressedBytesMax are used
  alignas(64) std::array<std::byte, kPageSize> partial;  // write_part()'s page
  std::optional<BlockBuffer> blocks;                     // where there is a backing device
  // The pages of a group up to the one that is read, where there are groups.
  std::unique_ptr<std::array<std::byte, kGroupBytes>> group;
};

}  // namespace pleat::store
