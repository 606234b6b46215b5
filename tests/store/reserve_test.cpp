// SPDX-License-Identifier: MIT OR Apache-2.0
// Memory must be ready before it is needed, and go back to the system when it is not.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/clock.h"
#include "base/task_stat.h"
#include "store/pages.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

void put(Store& store, Store::Session& session, std::uint64_t slot, const TestPage& page) {
  while (session.write(slot, page.data()) != StoreStatus::kOk) {
    ASSERT_TRUE(store.settle(20'000));
  }
}

TEST(Reserve, IsReadyWhenCreateReturns) {
  StoreOptions options = small_store(4096);
  options.reserve_bytes = 4 << 20;
  const auto store = make_store(options);
  EXPECT_EQ(store->stats().reserve_bytes, 4u << 20);
  EXPECT_GE(StoreInspector::memory_bytes(*store), 4u << 20);
}

TEST(Reserve, IsFilledAgainAfterWrites) {
  StoreOptions options = small_store(4096);
  options.reserve_bytes = 4 << 20;
  const auto store = make_store(options);
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 4096; ++slot) put(*store, *session, slot, random_page(slot));
  EXPECT_TRUE(store->settle(20'000));
  EXPECT_EQ(store->stats().reserve_bytes, 4u << 20);
}

TEST(Reserve, AWriterFasterThanTheThreadWaitsForIt) {
  StoreOptions options = small_store(8192);
  options.reserve_bytes = 1;
  const auto store = make_store(options);
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 8192; ++slot) {
    ASSERT_EQ(session->write(slot, random_page(slot).data()), StoreStatus::kOk) << slot;
  }
  for (std::uint64_t slot = 0; slot < 8192; ++slot) {
    ASSERT_EQ(read_page(*session, slot), random_page(slot));
  }
}

// The reserve of a store, and beside it one whose thread was never started: it makes no progress.
TEST(Reserve, AStalledThreadIsWaitedForOnce) {
  const auto store = make_store(small_store(64));
  auto& state = StoreInspector::state(*store);
  Reserve stuck(state.memory, state.layout, state.pages, state.pool, state.bell);
  constexpr std::uint64_t kWait_ns = 20'000'000;
  const std::uint64_t begin_ns = monotonic_ns();
  EXPECT_FALSE(stuck.await_growth(stuck.growth(), begin_ns + kWait_ns));
  EXPECT_GE(monotonic_ns() - begin_ns, kWait_ns);
  // The second wait would be far longer than CTest's limit.
  constexpr std::uint64_t kHour_ns = std::uint64_t{3'600'000'000'000};
  EXPECT_FALSE(stuck.await_growth(stuck.growth(), monotonic_ns() + kHour_ns));
}

TEST(Reserve, DiscardGivesMemoryBackToTheSystem) {
  const auto store = make_store(small_store(16384));
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 8192; ++slot) put(*store, *session, slot, random_page(slot));
  ASSERT_TRUE(store->settle(20'000));
  const std::uint64_t full = StoreInspector::memory_bytes(*store);
  EXPECT_GE(full, 8192 * kPageSize);
  EXPECT_EQ(store->resident_bytes(), full);
  session->discard(0, 8000);
  ASSERT_TRUE(store->settle(20'000));
  const std::uint64_t sparse = StoreInspector::memory_bytes(*store);
  const StoreStats stats = store->stats();
  EXPECT_EQ(stats.reserve_bytes, 8u << 20);
  EXPECT_EQ(stats.mem_used_total, 192 * kPageSize);
  EXPECT_LE(sparse, full - 7900 * kPageSize);
  EXPECT_EQ(store->resident_bytes(), sparse);
  // What remains is what the statistics say, the header page and the page map among it.
  EXPECT_LE(sparse, stats.mem_used_total + stats.reserve_bytes + stats.slot_table_bytes +
                        stats.metadata_bytes + kPageSize);
  for (std::uint64_t slot = 8000; slot < 8192; ++slot) {
    ASSERT_EQ(read_page(*session, slot), random_page(slot));
  }
  session->discard(8000, 192);
  ASSERT_TRUE(store->settle(20'000));
  // And what was given back can be had again.
  for (std::uint64_t slot = 0; slot < 8192; ++slot) put(*store, *session, slot, random_page(slot));
  for (std::uint64_t slot = 0; slot < 8192; slot += 17) {
    ASSERT_EQ(read_page(*session, slot), random_page(slot));
  }
}

TEST(Reserve, SurplusGoesBackWithoutBeingAskedFor) {
  const auto store = make_store(small_store(16384));
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 8192; ++slot) put(*store, *session, slot, random_page(slot));
  session->discard(0, 8192);
  // No settle(): the writers' ring alone must do.
  const auto surplus = [&] { return store->stats().reserve_bytes > std::uint64_t{13} << 20; };
  for (int wait = 0; surplus() && wait < 1000; ++wait) usleep(10'000);
  EXPECT_FALSE(surplus());
}

TEST(Reserve, ScatteredPagesAreReused) {
  const auto store = make_store(small_store(16384));
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 8192; ++slot) put(*store, *session, slot, random_page(slot));
  for (std::uint64_t slot = 0; slot < 8192; slot += 2) session->discard(slot, 1);
  ASSERT_TRUE(store->settle(20'000));
  for (std::uint64_t slot = 0; slot < 8192; slot += 2) {
    put(*store, *session, slot, mixed_page(slot, slot % 3500));
  }
  ASSERT_TRUE(store->settle(20'000));
  for (std::uint64_t slot = 0; slot < 8192; ++slot) {
    ASSERT_EQ(read_page(*session, slot),
              slot % 2 == 0 ? mixed_page(slot, slot % 3500) : random_page(slot));
  }
}

// Threads of this process that are I/O flushers.
int flagged_threads() {
  int count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if ((stat_field(task.path() / "stat", 9) & kIoFlusherFlags) == kIoFlusherFlags) ++count;
  }
  return count;
}

TEST(Reserve, MemoryIsLockedOrTheErrorSaysWhatToDo) {
  StoreOptions options = small_store(4096);
  options.lock_memory = true;
  auto made = Store::create(options);
  if (!made) {
    EXPECT_NE(made.error().message.find("ulimit -l"), std::string::npos) << made.error().message;
    EXPECT_NE(geteuid(), 0u);
    return;
  }
  EXPECT_TRUE(shared_segment(StoreInspector::state(**made).memory.id()).locked);
}

TEST(Reserve, ThreadsAreMarkedOrTheErrorSaysWhatToDo) {
  StoreOptions options = small_store(64);
  options.io_flusher = true;
  const auto made = Store::create(options);
  if (!made) {
    EXPECT_NE(made.error().message.find("CAP_SYS_RESOURCE"), std::string::npos);
    return;
  }
  EXPECT_EQ(flagged_threads(), 2);
}

}  // namespace
}  // namespace pleat::store
