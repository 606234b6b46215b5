// SPDX-License-Identifier: MIT OR Apache-2.0
// The tests' way into a store's memory: to damage it, and to ask the kernel about it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "store/shared_segment.h"
#include "store/state.h"
#include "store/store.h"

namespace pleat::store {

struct StoreInspector {
  static Store::State& state(Store& store) { return *store.state_; }
  static Pool& pool(Store& store) { return store.state_->pool; }
  static SlotWord word(Store& store, std::uint64_t slot) {
    return SlotWord(store.state_->slot_word(slot).load());
  }
  static void set_word(Store& store, std::uint64_t slot, SlotWord word) {
    store.state_->slot_word(slot).store(word.bits());
  }
  // The bytes of the slot's object: of a raw page the page, else header and data.
  static std::byte* object(Store& store, std::uint64_t slot) {
    const SlotWord at = word(store, slot);
    return at.kind() == SlotWord::Kind::kRaw ? pool(store).page(at.pool_page())
                                             : pool(store).at(at.location());
  }
  // The class whose span the slot's object is in, which may be larger than the object's own.
  static unsigned size_class(Store& store, std::uint64_t slot) {
    return pool(store).map_entry(word(store, slot).location() / kGranulesPerPage).size_class();
  }
  // Memory that the store's segment really has.
  static std::uint64_t memory_bytes(Store& store) {
    return shared_segment(store.state_->memory.id()).resident_bytes;
  }
};

}  // namespace pleat::store
