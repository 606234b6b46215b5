// SPDX-License-Identifier: MIT OR Apache-2.0
// Recompression: a thread that makes stored pages smaller with a second codec, which may take its
// time.
//
//   slot word locked -> object checked and decompressed -> slot word unlocked and claimed
//   (store/claim.h) -> compressed -> object in the pool -> slot word published
//
// Where the codec makes groups, the four pages of slots 4g to 4g + 3 are tried as one if all of
// them are wanted: claimed one after the other, compressed singly and together, and, if together
// saves more, their words are locked, where all of them are claimed still, and lead to one object
// (store/group.h). Pages that were recompressed before, by themselves or in a group that has lost
// pages since, are tried once more with neighbours that were not. Where there are none what is left
// of such a group gets objects of its own, since the group's memory is free only when all are gone.
//
// Who compresses by batches (codec/batch_compressor.h) gets many pages that are claimed, in memory
// of its own, and its blocks are decompressed again before one replaces a page.
//
// A page that does not become smaller by a size class stays, and is not tried again until it is
// written anew: the word has a bit for it. So a pass that was cut short, by the death of the
// process too, is simply begun again.
//
// The thread has the lowest priority but for the moments in which it holds a lock that a writer or
// reader may wait for; then it has theirs.
//
// Thread safety: the errand thread's alone. Nothing is allocated after construction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/process.h"
#include "codec/batch_compressor.h"
#include "codec/group_codec.h"
#include "codec/page_codec.h"
#include "store/page_allocator.h"
#include "store/session.h"
#include "store/slot_word.h"
#include "store/state.h"
#include "store/store.h"

namespace pleat::store {

struct RecompressionCodecs {
  codec::PageCodec pages;
  std::optional<codec::GroupCodec> groups;
};

class Store::Recompressor {
 public:
  Recompressor(State& state, RecompressionCodecs codecs);

  // As Store::recompress() says.
  RecompressResult work(const RecompressRequest& request) noexcept;

 private:
  enum class Outcome : std::uint8_t { kSmaller, kKept, kInUse, kNoMemory, kWrongBlock };
  // A page that is tried.
  struct Claim {
    std::uint64_t slot;
    SlotWord seen;
    unsigned age;  // that it had
    bool claimed;
    bool sound;  // decompressed
  };
  struct Try : Claim {
    codec::Encoded encoded;  // by itself, where that is smaller
    alignas(64) std::array<std::byte, kPageSize> block;
  };
  struct BatchEntry : Claim {
    std::uint64_t check;  // of the page
  };
  // More pages at once gain nothing: to decompress so many takes milliseconds, a call some 100 us.
  static constexpr std::size_t kBatchPagesMax = 1024;

  // What is still to be tried, and until when.
  struct Bounds {
    std::uint64_t pages;
    std::uint64_t end_ns;
  };
  // From result->next_slot on; whether nothing is left to be looked at.
  bool work_singly(const RecompressRequest& request, Bounds bounds,
                   RecompressResult* result) noexcept;
  bool work_in_batches(const RecompressRequest& request, Bounds bounds,
                       RecompressResult* result) noexcept;
  bool is_over(const Bounds& bounds) const noexcept;
  // Whether the request means the page, tried before or not.
  bool meant(const RecompressRequest& request, SlotWord word) const noexcept;
  bool wanted(const RecompressRequest& request, SlotWord word) const noexcept {
    return meant(request, word) && !word.settled();
  }
  // Looks for what to try from the slot on: a group, a page or nothing, and of how many pages, at
  // most `pages_max`.
  std::size_t find_wanted(const RecompressRequest& request, std::uint64_t slot,
                          std::uint64_t pages_max) noexcept;
  // Tries the first `count`, one or a group; whether there was memory.
  bool recompress(std::size_t count, RecompressResult* result) noexcept;
  // Looks for what is left of a group that begins at the slot and has lost pages, if all of it is
  // meant; of how many pages it is.
  std::size_t find_broken_group(const RecompressRequest& request, std::uint64_t slot,
                                std::uint64_t pages_max) noexcept;
  // Gives the first `count` objects of their own if those take less than the group; whether there
  // was memory.
  bool part_group(std::size_t count, RecompressResult* result) noexcept;
  // Decompresses what is stored to `bytes` and claims the word, if it still is what was seen.
  void claim(Claim& page, std::byte* bytes) noexcept;
  // The same to the page's place in pages_, then compresses it, where it is to be by itself.
  void encode_page(std::size_t index, bool singly) noexcept;
  // Claims what is wanted from *slot on, a batch at most; how many of batch_.
  std::size_t fill_batch(const RecompressRequest& request, const Bounds& bounds,
                         std::uint64_t* slot) noexcept;
  // Whether a next one may follow.
  bool recompress_batch(codec::BatchCompressor& compressor, std::size_t count,
                        RecompressResult* result) noexcept;
  Outcome recompress_entry(codec::BatchCompressor& compressor, std::size_t index,
                           RecompressResult* result) noexcept;
  // The longest block of all four that saves enough; 0 where there is none.
  std::size_t group_bytes_to_save() const noexcept;
  // What ends a claim, if it still is one: the page stays as it is, or gets another object.
  void release(const Claim& page) noexcept;
  Outcome keep(const Claim& page) noexcept;
  // What it saves is counted, or, where there is no `result`, not.
  Outcome replace(const Claim& page, codec::Encoded encoded, const std::byte* block,
                  RecompressResult* result) noexcept;
  Outcome replace_group(codec::Encoded encoded, RecompressResult* result) noexcept;
  // Locks the words of all four if they are claimed still, else ends what claims there are.
  bool lock_group(std::array<SlotWord, kGroupPages>* words) noexcept;
  void count_replaced(std::uint64_t slot, SlotWord old, SlotWord fresh,
                      RecompressResult* result) noexcept;
  AllocateStatus allocate(std::size_t bytes, std::uint64_t* location) noexcept;

  State& state_;
  Session::Impl session_;
  std::optional<codec::GroupCodec> groups_;
  BackgroundPriority* priority_ = nullptr;  // while it works
  std::array<Try, kGroupPages> tries_{};
  alignas(64) std::array<std::byte, kGroupBytes> pages_{};
  alignas(64) std::array<std::byte, kObjectBytesMax> block_{};  // of a group, or from a batch
  std::unique_ptr<BatchEntry[]> batch_;
};

}  // namespace pleat::store
