// SPDX-License-Identifier: MIT OR Apache-2.0
// What is written comes back, whatever kind of page it is and whatever was there before.
#include <gtest/gtest.h>

#include "store/pages.h"

namespace pleat::store {
namespace {

std::vector<TestPage> every_kind() {
  return {TestPage{},                               // zeros
          same_filled_page(~std::uint64_t{0}),      // inline, sign-extended
          same_filled_page(0x0000'7FFF'FFFF'FFFF),  // the largest inline number
          same_filled_page(0xFFFF'8000'0000'0000),  // the smallest
          same_filled_page(0xDEAD'BEEF'DEAD'BEEF),  // inline, repeated half
          same_filled_page(0x0123'4567'89AB'CDEF),  // in an object
          same_filled_page(0x0000'8000'0000'0000),  // one more than the largest inline number
          random_page(1),                           // raw
          mixed_page(2, 64),
          mixed_page(3, 1300),
          mixed_page(4, 3000),
          mixed_page(5, 3580),
          mixed_page(6, 3700)};
}

TEST(PageLife, UnwrittenReadsAsZeros) {
  const auto store = make_store(small_store(64));
  const auto session = make_session(*store);
  EXPECT_EQ(read_page(*session, 0), TestPage{});
  EXPECT_EQ(read_page(*session, 63), TestPage{});
}

TEST(PageLife, EveryKindReplacesEveryKind) {
  const auto store = make_store(small_store(64));
  const auto session = make_session(*store);
  const auto pages = every_kind();
  for (const TestPage& before : pages) {
    for (const TestPage& after : pages) {
      ASSERT_EQ(session->write(7, before.data()), StoreStatus::kOk);
      ASSERT_EQ(read_page(*session, 7), before);
      ASSERT_EQ(session->write(7, after.data()), StoreStatus::kOk);
      ASSERT_EQ(read_page(*session, 7), after);
    }
  }
  session->discard(7, 1);
  EXPECT_EQ(read_page(*session, 7), TestPage{});
  EXPECT_EQ(store->stats().orig_data_size, 0u);
  EXPECT_EQ(store->stats().compr_data_size, 0u);
  EXPECT_EQ(store->stats().mem_used_total, 0u);
}

TEST(PageLife, PartsReplaceExactlyTheirBytes) {
  const auto store = make_store(small_store(64));
  const auto session = make_session(*store);
  for (TestPage expected : every_kind()) {
    ASSERT_EQ(session->write(3, expected.data()), StoreStatus::kOk);
    for (const auto& [offset, length] :
         {std::pair{0, 512}, {3584, 512}, {512, 1024}, {1, 1}, {0, 4096}, {4095, 1}, {100, 0}}) {
      const TestPage part = random_page(static_cast<std::uint64_t>(offset + length));
      std::memcpy(expected.data() + offset, part.data(), static_cast<std::size_t>(length));
      ASSERT_EQ(session->write_part(3, static_cast<std::size_t>(offset), part.data(),
                                    static_cast<std::size_t>(length)),
                StoreStatus::kOk);
      ASSERT_EQ(read_page(*session, 3), expected) << offset << ' ' << length;
    }
  }
}

TEST(PageLife, PartOfAnUnwrittenPageLeavesTheRestZero) {
  const auto store = make_store(small_store(64));
  const auto session = make_session(*store);
  TestPage expected{};
  const TestPage part = random_page(9);
  std::memcpy(expected.data() + 1536, part.data(), 512);
  ASSERT_EQ(session->write_part(5, 1536, part.data(), 512), StoreStatus::kOk);
  EXPECT_EQ(read_page(*session, 5), expected);
  EXPECT_EQ(store->stats().orig_data_size, kPageSize);
}

TEST(PageLife, NeighboursAreLeftAlone) {
  const auto store = make_store(small_store(512));
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 512; ++slot) {
    ASSERT_EQ(session->write(slot, mixed_page(slot, slot * 8).data()), StoreStatus::kOk);
  }
  session->discard(100, 50);
  for (std::uint64_t slot = 200; slot < 512; slot += 3) {
    ASSERT_EQ(session->write(slot, mixed_page(slot + 1000, 4000 - slot * 7).data()),
              StoreStatus::kOk);
  }
  for (std::uint64_t slot = 0; slot < 512; ++slot) {
    TestPage expected = mixed_page(slot, slot * 8);
    if (slot >= 100 && slot < 150) expected = TestPage{};
    if (slot >= 200 && (slot - 200) % 3 == 0) expected = mixed_page(slot + 1000, 4000 - slot * 7);
    ASSERT_EQ(read_page(*session, slot), expected) << slot;
  }
}

TEST(PageLife, ADeviceFullOfRandomPagesFits) {
  const std::uint64_t slots = 8192;
  StoreOptions options = small_store(slots);
  const auto store = make_store(options);
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < slots; ++slot) {
    const TestPage page = random_page(slot);
    while (session->write(slot, page.data()) != StoreStatus::kOk) {
      ASSERT_TRUE(store->settle(10'000)) << slot;
    }
  }
  for (std::uint64_t slot = 0; slot < slots; ++slot) {
    ASSERT_EQ(read_page(*session, slot), random_page(slot)) << slot;
  }
  EXPECT_EQ(store->stats().huge_pages, slots);
  EXPECT_EQ(store->stats().mem_used_total, slots * kPageSize);
  session->discard(0, slots);
  EXPECT_EQ(store->stats().mem_used_total, 0u);
}

}  // namespace
}  // namespace pleat::store
