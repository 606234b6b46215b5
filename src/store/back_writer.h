// SPDX-License-Identifier: MIT OR Apache-2.0
// Writeback: moves stored pages to the backing device, compressed as they are, but for pages of
// groups, which go by themselves, as if they were written anew.
//
//   free blocks -> objects copied, checked, one after the other, and claimed (store/claim.h) ->
//   blocks written -> slot words published, memory freed
//
// A page that somebody uses meanwhile stays where it is. Until the blocks are written the words
// lead to memory, so a failure or a death costs nothing but the write.
//
// Thread safety: the errand thread's alone. Nothing is allocated after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/process.h"
#include "codec/page_codec.h"
#include "store/backing.h"
#include "store/session.h"
#include "store/slot_word.h"
#include "store/state.h"
#include "store/store.h"

namespace pleat::store {

class Store::BackWriter {
 public:
  // `codec` is that of writes: what pages of groups are compressed with anew.
  BackWriter(State& state, codec::PageCodec codec);

  // As Store::write_back() says.
  WritebackResult work(const WritebackRequest& request) noexcept;

 private:
  // One write to the backing device: 128 KiB take an SSD about as long as the way there and back.
  static constexpr std::size_t kBatchBlocks = 32;
  static constexpr std::size_t kEntriesMax = kBatchBlocks * kPageSize / kBackingUnit;
  // A page that is claimed and copied.
  struct Entry {
    std::uint64_t slot;
    SlotWord word;  // as it is to be, but for the version
    std::uint8_t age;
  };
  enum class Copy : std::uint8_t { kCopied, kLeft, kNoRoom };

  bool wanted(const WritebackRequest& request, SlotWord word) const noexcept;
  // Blocks for the next batch, or why there are none.
  std::optional<Backing::Run> next_run(WritebackEnd* end) noexcept;
  // Moves result->next_slot to the next page that is wanted. False, with the end, where there is
  // none or the call is to end.
  bool find_wanted(const WritebackRequest& request, std::uint64_t end_ns, std::uint64_t attempts,
                   WritebackResult* result) noexcept;
  // Fills the batch from result->next_slot on. Whether there may be more.
  bool fill(const WritebackRequest& request, std::uint64_t end_ns, Backing::Run run,
            std::uint64_t* attempts, WritebackResult* result) noexcept;
  Copy copy(std::uint64_t slot, SlotWord seen, Backing::Run run) noexcept;
  // Copies the object to the batch, header and all, if it is sound; of a group, the page to
  // session_.partial.
  bool copy_object(std::uint64_t slot, SlotWord seen, std::byte* object) noexcept;
  // Makes an object of the page in session_.partial, as a write does; its word, but for the place.
  SlotWord encode_member(std::uint64_t slot, std::byte* object) noexcept;
  // 0 or an errno.
  int write(Backing::Run run, WritebackResult* result) noexcept;
  void publish(WritebackResult* result) noexcept;
  void give_up() noexcept;

  State& state_;
  Session::Impl session_;
  BackgroundPriority* priority_ = nullptr;  // while it works
  BlockBuffer batch_{kBatchBlocks};
  std::size_t units_ = 0;  // of the batch, that are filled
  std::unique_ptr<Entry[]> entries_;
  std::size_t entries_count_ = 0;
};

}  // namespace pleat::store
