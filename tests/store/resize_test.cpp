// SPDX-License-Identifier: MIT OR Apache-2.0
// A device that gets another size keeps its pages, also when the process dies afterwards, and none
// is cut off.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>

#include "store/pages.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

StoreOptions growing_store(std::uint64_t pages, std::uint64_t pages_max) {
  StoreOptions options = small_store(pages);
  options.device_bytes_max = pages_max * kPageSize;
  return options;
}

TEST(Resize, GrowsByEmptySlotsAndKeepsThePages) {
  const auto store = make_store(growing_store(1000, 100'000));
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 1000; ++slot) {
    ASSERT_EQ(session->write(slot, mixed_page(slot, 200).data()), StoreStatus::kOk);
  }
  const std::uint64_t small_bytes = store->resident_bytes();
  ASSERT_TRUE(store->resize(50'000 * kPageSize));
  EXPECT_EQ(store->slots(), 50'000u);
  const StoreStats stats = store->stats();
  EXPECT_EQ(stats.device_bytes, 50'000 * kPageSize);
  EXPECT_EQ(stats.device_bytes_max, 100'000 * kPageSize);
  EXPECT_EQ(stats.slot_table_bytes, 50'000u * 8);
  // The slots are there, and those that may come are not.
  EXPECT_GE(store->resident_bytes(), small_bytes + 49'000 * 8 - kPageSize);
  EXPECT_LE(store->resident_bytes(), small_bytes + 49'000 * 8 + kPageSize);
  EXPECT_EQ(read_page(*session, 49'999), TestPage{});
  ASSERT_EQ(session->write(49'999, random_page(1).data()), StoreStatus::kOk);
  EXPECT_EQ(read_page(*session, 49'999), random_page(1));
  for (std::uint64_t slot = 0; slot < 1000; ++slot) {
    ASSERT_EQ(read_page(*session, slot), mixed_page(slot, 200));
  }
}

TEST(Resize, IsRefusedInWords) {
  const auto store = make_store(growing_store(64, 128));
  const auto session = make_session(*store);
  ASSERT_EQ(session->write(40, random_page(1).data()), StoreStatus::kOk);
  const auto refusal = [&](std::uint64_t bytes) {
    const auto resized = store->resize(bytes);
    EXPECT_FALSE(resized);
    EXPECT_EQ(store->slots(), 64u);
    return resized ? Error{} : resized.error();
  };
  EXPECT_EQ(refusal(0).code, EINVAL);
  EXPECT_EQ(refusal(4097).code, EINVAL);
  EXPECT_EQ(refusal(129 * kPageSize).code, ERANGE);
  EXPECT_NE(refusal(129 * kPageSize).message.find("up to 512K"), std::string::npos);
  const Error stored = refusal(40 * kPageSize);
  EXPECT_EQ(stored.code, EBUSY);
  EXPECT_NE(stored.message.find(std::to_string(40 * kPageSize)), std::string::npos);
  EXPECT_TRUE(store->resize(41 * kPageSize));
  EXPECT_EQ(read_page(*session, 40), random_page(1));
}

TEST(Resize, WithoutRoomToGrowThereIsNone) {
  const auto store = make_store(small_store(64));
  EXPECT_EQ(store->resize(65 * kPageSize).error().code, ERANGE);
  EXPECT_TRUE(store->resize(64 * kPageSize));
}

TEST(Resize, ShrinkingGivesTheSlotTableBack) {
  const auto store = make_store(growing_store(100'000, 200'000));
  const auto session = make_session(*store);
  ASSERT_EQ(session->write(99'999, random_page(1).data()), StoreStatus::kOk);
  session->discard(99'999, 1);
  ASSERT_TRUE(store->settle(20'000));
  const std::uint64_t large_bytes = store->resident_bytes();
  ASSERT_TRUE(store->resize(1000 * kPageSize));
  EXPECT_LE(store->resident_bytes(), large_bytes - 99'000 * 8 + kPageSize);
  ASSERT_TRUE(store->resize(200'000 * kPageSize));
  EXPECT_EQ(read_page(*session, 99'999), TestPage{});
  ASSERT_EQ(session->write(199'999, random_page(2).data()), StoreStatus::kOk);
  EXPECT_EQ(read_page(*session, 199'999), random_page(2));
}

TEST(Resize, ASuccessorHasTheSizeOfTheMemoryAndNotOfItsOptions) {
  const StoreOptions options = growing_store(1000, 100'000);
  auto kept = Store::make_memory(options);
  ASSERT_TRUE(kept);
  Memory::remove(kept->id());  // once nobody is attached
  // One that stands by from before the change, and one that comes after it.
  const auto early = Store::stand_by(options, *Memory::attach(kept->id()));
  ASSERT_TRUE(early);
  {
    const auto store = Store::stand_by(options, *Memory::attach(kept->id()));
    ASSERT_TRUE(store && (*store)->begin());
    ASSERT_TRUE((*early)->follow_size());
    ASSERT_TRUE((*store)->resize(90'000 * kPageSize));
    const auto session = make_session(**store);
    ASSERT_EQ(session->write(89'999, random_page(1).data()), StoreStatus::kOk);
  }
  ASSERT_TRUE((*early)->follow_size());
  ASSERT_TRUE((*early)->begin());
  EXPECT_EQ((*early)->slots(), 90'000u);
  {
    const auto session = make_session(**early);
    EXPECT_EQ(read_page(*session, 89'999), random_page(1));
    session->discard(89'999, 1);
    ASSERT_TRUE((*early)->resize(500 * kPageSize));
  }
  const auto late = Store::stand_by(options, *Memory::attach(kept->id()));
  ASSERT_TRUE(late && (*late)->begin());
  EXPECT_EQ((*late)->slots(), 500u);
  EXPECT_EQ((*late)->stats().orig_data_size, 0u);
}

TEST(Resize, ASizeThatTheMemoryCannotHaveIsRefused) {
  const StoreOptions options = growing_store(1000, 2000);
  auto kept = Store::make_memory(options);
  ASSERT_TRUE(kept);
  Memory::remove(kept->id());  // once nobody is attached
  {
    const auto store = Store::stand_by(options, *Memory::attach(kept->id()));
    ASSERT_TRUE(store && (*store)->begin());
  }
  *reinterpret_cast<std::uint64_t*>(kept->base() + kVariablesOffset) = 2001;
  const auto store = Store::stand_by(options, *Memory::attach(kept->id()));
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, EPROTO);
}

TEST(Resize, WhileOthersReadAndWrite) {
  const auto store = make_store(growing_store(256, 65'536));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    const auto session = make_session(*store);
    for (std::uint64_t round = 0; !stop; ++round) {
      // Wherever the end is now.
      const std::uint64_t slot = store->slots() - 1 - round % 200;
      const TestPage page = mixed_page(slot, round % 3000);
      while (session->write(slot, page.data()) != StoreStatus::kOk) (void)store->settle(1000);
      EXPECT_EQ(read_page(*session, slot), page);
      session->discard(slot, 1);
    }
  });
  for (std::uint64_t pages = 256; pages <= 65'536; pages += 256) {
    EXPECT_TRUE(store->resize(pages * kPageSize));
  }
  stop = true;
  writer.join();
  EXPECT_EQ(store->stats().orig_data_size, 0u);
}

}  // namespace
}  // namespace pleat::store
