// SPDX-License-Identifier: MIT OR Apache-2.0
// What the store itself takes must stay small against what it holds.
#include <gtest/gtest.h>

#include <random>

#include "store/pages.h"
#include "store/size_class.h"

namespace pleat::store {
namespace {

// Sizes spread like those of real memory, whose mean is near 1700 bytes.
class SpreadPages {
 public:
  TestPage next() {
    const double drawn = std::min(std::max(size_(random_), 100.0), 4000.0);
    return mixed_page(++seed_, static_cast<std::size_t>(drawn));
  }
  std::uint64_t any_slot(std::uint64_t slots) { return random_() % slots; }

 private:
  std::mt19937_64 random_{1};
  std::normal_distribution<double> size_{1700, 700};
  std::uint64_t seed_ = 0;
};

void put_spread(Store& store, Store::Session& session, std::uint64_t slot, const TestPage& page) {
  while (session.write(slot, page.data()) != StoreStatus::kOk) ASSERT_TRUE(store.settle(20'000));
}

TEST(Footprint, MetadataStaysUnderOnePercentOfStoredBytesPlusTwoThousandthsOfTheDevice) {
  constexpr std::uint64_t kSlots = 16384;
  const auto store = make_store(small_store(kSlots));
  const auto session = make_session(*store);
  SpreadPages pages;
  for (std::uint64_t slot = 0; slot < kSlots; ++slot)
    put_spread(*store, *session, slot, pages.next());
  const StoreStats stats = store->stats();
  EXPECT_EQ(stats.orig_data_size, kSlots * kPageSize);
  EXPECT_LT(stats.metadata_bytes + stats.slot_table_bytes,
            stats.compr_data_size / 100 + stats.device_bytes / 500);
}

TEST(Footprint, AStoreThatHoldsLittleIsDenseAfterAChurn) {
  constexpr std::uint64_t kSlots = 8192;
  const auto store = make_store(small_store(kSlots));
  const auto session = make_session(*store);
  SpreadPages pages;
  for (std::uint64_t slot = 0; slot < kSlots; ++slot)
    put_spread(*store, *session, slot, pages.next());
  for (std::uint64_t step = 0; step < 4 * kSlots; ++step) {
    put_spread(*store, *session, pages.any_slot(kSlots), pages.next());
  }
  ASSERT_TRUE(store->settle(20'000));
  const StoreStats stats = store->stats();
  EXPECT_LT(stats.compr_data_size, std::uint64_t{16} << 20);
  EXPECT_GT(stats.compr_data_size, stats.mem_used_total / 100 * 92);
}

TEST(Footprint, AnEmptyStoreTakesLittleMoreThanItsReserve) {
  const auto store = make_store(small_store(std::uint64_t{4} << 18));  // 4 GiB
  const StoreStats stats = store->stats();
  EXPECT_EQ(stats.reserve_bytes, std::uint64_t{8} << 20);
  EXPECT_LT(stats.metadata_bytes, std::uint64_t{1} << 20);
}

}  // namespace
}  // namespace pleat::store
