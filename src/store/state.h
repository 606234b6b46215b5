// SPDX-License-Identifier: MIT OR Apache-2.0
// What the store and its sessions share.
//
// Thread safety: see each member. The members are in the order in which they depend on each other:
// the background threads, last, end first.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/ager.h"
#include "store/backing.h"
#include "store/compactor.h"
#include "store/counters.h"
#include "store/doorbell.h"
#include "store/errand_thread.h"
#include "store/layout.h"
#include "store/memory.h"
#include "store/page_allocator.h"
#include "store/pool.h"
#include "store/reserve.h"
#include "store/slot_table.h"
#include "store/store.h"

namespace pleat::store {

struct Store::State {
  State(const StoreOptions& store_options, const Layout& store_layout, Memory store_memory,
        std::uint64_t reserve_pages);

  std::atomic<std::uint64_t>& slot_word(std::uint64_t slot) const noexcept { return slots[slot]; }

  // Takes over what the memory holds. Allocates nothing.
  Result<void> adopt();
  // Provides for the first `count` slots.
  Result<void> provide_slots(std::uint64_t count);
  // Opens the backing device, for a new store or a successor.
  Result<void> open_backing();
  // Makes it a new store's own.
  Result<void> begin_backing();
  Result<void> prepare_errands();
  StoreVariables& variables() const noexcept {
    return *reinterpret_cast<StoreVariables*>(memory.base() + kVariablesOffset);
  }

  const StoreOptions options;
  const bool groups;  // whether recompression makes groups
  const Layout layout;
  Memory memory;
  SlotTable slots;
  // So many slots have memory and are in this process's page tables. The control thread's alone.
  std::uint64_t slots_ready = 0;

  // One for each of sessions_max sessions that is open, then the errands' and the compactor's.
  const std::span<Counters> counters;  // in the memory
  std::mutex sessions_mutex;
  std::vector<bool> session_open;  // under sessions_mutex; the last is the errands'

  Doorbell bell;          // of the reserve
  Doorbell compact_bell;  // of the compactor
  PageAllocator pages;
  Pool pool;
  Reserve reserve;
  Compactor compactor;
  Ager ager;
  std::optional<Backing> backing;              // where the options name one
  Result<void> backing_state;                  // of a successor: why it is not to be had
  std::unique_ptr<Recompressor> recompressor;  // where there is a codec for it
  std::unique_ptr<BackWriter> back_writer;     // where there is a backing device
  ErrandThread errands;                        // theirs
};

}  // namespace pleat::store
