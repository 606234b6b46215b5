// SPDX-License-Identifier: MIT OR Apache-2.0
// Memory of a store that is kept while processes come and go, for the tests of taking it over.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "store/pages.h"
#include "store/stamped_page.h"
#include "store/store_inspector.h"

namespace pleat::store {

inline Memory make_shared_memory(const StoreOptions& options) {
  auto memory = Store::make_memory(options);
  if (!memory) {
    ADD_FAILURE() << memory.error().message;
    std::abort();
  }
  Memory::remove(memory->id());  // once nobody is attached
  return *std::move(memory);
}

inline std::unique_ptr<Store> begin_store(const StoreOptions& options, const Memory& kept) {
  auto memory = Memory::attach(kept.id());
  if (!memory) return nullptr;
  auto store = Store::stand_by(options, *std::move(memory));
  if (!store || !(*store)->begin()) return nullptr;
  return *std::move(store);
}

// A page of one of four kinds: same-filled, compressible, incompressible, or hardly compressible.
inline TestPage any_page(std::uint64_t seed) {
  return stamped_page(make_stamp(1, seed, static_cast<Shape>(seed % 4 + 1)));
}

inline void expect_nothing_leaked(Store& store, Store::Session& session) {
  session.discard(0, store.slots());
  ASSERT_TRUE(store.settle(20'000));
  const StoreStats stats = store.stats();
  EXPECT_EQ(stats.mem_used_total, 0u);
  EXPECT_EQ(stats.orig_data_size, 0u);
  EXPECT_EQ(stats.compr_data_size, 0u);
}

}  // namespace pleat::store
