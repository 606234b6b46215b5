// SPDX-License-Identifier: MIT OR Apache-2.0
// Recompression: a thread that makes stored pages smaller with a second codec, which may take its
// time.
//
//   slot word locked -> object checked and decompressed -> slot word unlocked and claimed
//   (store/claim.h) -> compressed -> object in the pool -> slot word published
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

#include "base/process.h"
#include "codec/page_codec.h"
#include "store/page_allocator.h"
#include "store/session.h"
#include "store/slot_word.h"
#include "store/state.h"
#include "store/store.h"

namespace pleat::store {

class Store::Recompressor {
 public:
  Recompressor(State& state, codec::PageCodec codec);

  // As Store::recompress() says.
  RecompressResult work(const RecompressRequest& request) noexcept;

 private:
  enum class Outcome : std::uint8_t { kSmaller, kKept, kInUse, kNoMemory };

  bool wanted(const RecompressRequest& request, SlotWord word) const noexcept;
  Outcome recompress_page(std::uint64_t slot, SlotWord seen, BackgroundPriority& priority,
                          std::uint64_t* saved) noexcept;
  // Decompresses what is stored and claims the word, if it still is `seen`; whether it was sound.
  bool claim(std::uint64_t slot, SlotWord seen, bool* sound) noexcept;
  // What ends a claim, if it still is one: the page stays as it is, or gets another object.
  Outcome keep(std::uint64_t slot, unsigned age) noexcept;
  Outcome replace(std::uint64_t slot, unsigned age, codec::Encoded encoded,
                  std::uint64_t* saved) noexcept;
  AllocateStatus allocate(std::size_t bytes, std::uint64_t* location) noexcept;

  State& state_;
  Session::Impl session_;
  alignas(64) std::array<std::byte, kPageSize> page_{};
};

}  // namespace pleat::store
