// SPDX-License-Identifier: MIT OR Apache-2.0
// What the store itself takes must stay small against what it holds.
#include <gtest/gtest.h>

#include <random>

#include "store/pages.h"
#include "store/size_class.h"

namespace pleat::store {
namespace {

TEST(Footprint, MetadataStaysUnderOnePercentOfStoredBytesPlusTwoThousandthsOfTheDevice) {
  constexpr std::uint64_t kSlots = 16384;
  const auto store = make_store(small_store(kSlots));
  const auto session = make_session(*store);
  std::mt19937_64 random(1);
  // Sizes spread like those of real memory, whose mean is near 1700 bytes.
  std::normal_distribution<double> size(1700, 700);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    const double drawn = std::min(std::max(size(random), 100.0), 4000.0);
    const TestPage page = mixed_page(slot, static_cast<std::size_t>(drawn));
    while (session->write(slot, page.data()) != StoreStatus::kOk) {
      ASSERT_TRUE(store->settle(20'000));
    }
  }
  const StoreStats stats = store->stats();
  EXPECT_EQ(stats.orig_data_size, kSlots * kPageSize);
  EXPECT_LT(stats.metadata_bytes + stats.slot_table_bytes,
            stats.compr_data_size / 100 + stats.device_bytes / 500);
}

TEST(Footprint, AnEmptyStoreTakesLittleMoreThanItsReserve) {
  const auto store = make_store(small_store(std::uint64_t{4} << 18));  // 4 GiB
  const StoreStats stats = store->stats();
  EXPECT_EQ(stats.reserve_bytes, std::uint64_t{8} << 20);
  EXPECT_LT(stats.metadata_bytes, std::uint64_t{1} << 20);
}

}  // namespace
}  // namespace pleat::store
