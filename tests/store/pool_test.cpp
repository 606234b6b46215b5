// SPDX-License-Identifier: MIT OR Apache-2.0
// Objects must not overlap, keep their bytes while others come and go, and leave nothing behind.
#include "store/pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "repetitions.h"

namespace pleat::store {
namespace {

class PoolTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kRegions = 128;

  PoolTest() {
    for (std::uint64_t region = 0; region < kRegions; ++region) {
      pages_.add_ready({region * kRegionPages, kRegionPages});
    }
  }

  std::vector<RegionWords> words_ = std::vector<RegionWords>(kRegions);
  std::vector<PageMapCell> map_ = std::vector<PageMapCell>(kRegions * kRegionPages);
  std::vector<std::atomic<std::uint64_t>> slots_ = std::vector<std::atomic<std::uint64_t>>(64);
  struct alignas(4096) Page {
    std::byte bytes[kPageSize];
  };
  std::vector<Page> memory_ = std::vector<Page>(kRegions * kRegionPages);
  Doorbell bell_;
  Doorbell compact_bell_;
  std::atomic<std::uint64_t> used_max_{0};
  PageAllocator pages_{std::span(words_), used_max_, 64, bell_};
  std::atomic<std::uint64_t> slot_count_{slots_.size()};
  Pool pool_{memory_[0].bytes, std::span(map_), SlotTable(slots_.data(), &slot_count_), pages_,
             compact_bell_};
};

struct Object {
  std::uint64_t location;
  std::size_t bytes;
  int fill;
};

// Who looks at the span that a word has led to finds a raw page there where the span has been freed
// since. Taken for a span whose header is not to be believed it would get a header.
TEST(PageMap, ARawPageIsNoUnknownSpanWhateverItsCheck) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    EXPECT_FALSE(PageMapEntry::of_raw(std::uint64_t{1} << bit).unknown()) << bit;
    EXPECT_FALSE(PageMapEntry::of_raw(~(std::uint64_t{1} << bit)).unknown()) << bit;
  }
  EXPECT_TRUE(PageMapEntry::of_span(5, 0).with_unknown(true).unknown());
  EXPECT_FALSE(PageMapEntry::of_span(5, 0).with_unknown(true).with_unknown(false).unknown());
}

TEST_F(PoolTest, RandomObjectsKeepTheirBytes) {
  std::mt19937_64 random(8);
  std::vector<Object> objects;
  const auto free_one = [&](std::size_t index) {
    const Object object = objects[index];
    for (std::size_t i = 0; i < object.bytes; ++i) {
      ASSERT_EQ(pool_.at(object.location)[i], static_cast<std::byte>(object.fill));
    }
    pool_.free(object.location);
    objects[index] = objects.back();
    objects.pop_back();
  };
  for (unsigned step = 0; step < test::repetitions(60'000); ++step) {
    const bool growing = step / 6000 % 2 == 0;
    if (random() % 100 < (growing ? 70 : 30)) {
      const std::size_t bytes = kGranule * (1 + random() % (kObjectBytesMax / kGranule));
      Object object{0, bytes, static_cast<int>(random() % 256)};
      ASSERT_EQ(pool_.allocate(bytes, true, &object.location), AllocateStatus::kOk);
      ASSERT_TRUE(pool_.contains(object.location, bytes));
      std::memset(pool_.at(object.location), object.fill, bytes);
      objects.push_back(object);
    } else if (!objects.empty()) {
      free_one(random() % objects.size());
    }
  }
  while (!objects.empty()) free_one(objects.size() - 1);
  EXPECT_EQ(pool_.spans(), 0u);
  EXPECT_EQ(pages_.used_pages(), 0u);
}

TEST_F(PoolTest, EveryClassThatServesFillsItsSpanCompletely) {
  for (unsigned index = 0; index < kSizeClasses.count; ++index) {
    if (pool_.serving_class(index) != index) continue;
    const SizeClass& size_class = kSizeClasses.classes[index];
    std::vector<std::uint64_t> locations(size_class.objects + 1u);
    for (unsigned i = 0; i < size_class.objects; ++i) {
      ASSERT_EQ(pool_.allocate(size_class.bytes, true, &locations[i]), AllocateStatus::kOk);
    }
    EXPECT_EQ(pages_.used_pages(), size_class.pages);
    ASSERT_EQ(pool_.allocate(size_class.bytes, true, &locations.back()), AllocateStatus::kOk);
    EXPECT_EQ(pages_.used_pages(), 2u * size_class.pages);
    for (const std::uint64_t location : locations) pool_.free(location);
    EXPECT_EQ(pages_.used_pages(), 0u);
  }
}

TEST_F(PoolTest, FullestSpansServeFirst) {
  // Of a class that serves at all levels.
  const SizeClass& size_class = kSizeClasses.classes[pool_.serving_class(size_class_of(1024))];
  const std::size_t bytes = size_class.bytes;
  std::vector<std::uint64_t> locations(4u * size_class.objects);
  for (auto& location : locations) {
    ASSERT_EQ(pool_.allocate(bytes, true, &location), AllocateStatus::kOk);
  }
  ASSERT_EQ(pool_.spans(), 4u);
  // The first span keeps one object, the second lacks one.
  for (unsigned i = 1; i < size_class.objects; ++i) pool_.free(locations[i]);
  const std::uint64_t hole = locations[size_class.objects];
  pool_.free(hole);
  std::uint64_t location = 0;
  ASSERT_EQ(pool_.allocate(bytes, true, &location), AllocateStatus::kOk);
  EXPECT_EQ(location, hole);
  // So the first becomes empty and goes back when its last object goes.
  pool_.free(locations[0]);
  EXPECT_EQ(pool_.spans(), 3u);
}

TEST_F(PoolTest, ObjectsGoToTheirOwnClassesOnlyWhereThereAreMany) {
  constexpr std::size_t kBytes = 212;
  const unsigned own = size_class_of(kBytes);
  const unsigned other = size_class_of(1040);  // of another band
  const std::uint64_t full = kServingClasses.pages_of_band[kServingClasses.band_of[own]];
  std::vector<std::uint64_t> locations;
  const auto allocate = [&] {
    EXPECT_EQ(pool_.allocate(kBytes, true, &locations.emplace_back()), AllocateStatus::kOk);
    return pool_.map_entry(locations.back() / kGranulesPerPage).size_class();
  };
  EXPECT_GT(pool_.serving_class(own), own);
  EXPECT_EQ(allocate(), pool_.serving_class(own));
  while (pages_.used_pages() < full) (void)allocate();
  EXPECT_EQ(allocate(), own);
  EXPECT_GT(pool_.serving_class(other), other);
  while (locations.size() > 1) {
    pool_.free(locations.back());
    locations.pop_back();
  }
  EXPECT_GT(pool_.serving_class(own), own);
  pool_.free(locations.back());
  EXPECT_EQ(pages_.used_pages(), 0u);
}

TEST_F(PoolTest, LoweredLimitRefusesEvenWhereASpanHasRoom) {
  std::uint64_t location = 0;
  ASSERT_EQ(pool_.allocate(2048, true, &location), AllocateStatus::kOk);
  const std::uint64_t used = pages_.used_pages();
  pages_.set_limit_pages(used);
  std::uint64_t other = 0;
  EXPECT_EQ(pool_.allocate(2048, true, &other), AllocateStatus::kOk);
  pages_.set_limit_pages(used - 1);
  EXPECT_EQ(pool_.allocate(2048, true, &other), AllocateStatus::kOverLimit);
  EXPECT_EQ(pool_.allocate(2048, false, &other), AllocateStatus::kOk);
  EXPECT_EQ(pool_.allocate_page(&other), AllocateStatus::kOverLimit);
}

TEST_F(PoolTest, FreeingWhatIsNoObjectsPageLosesNothingElse) {
  std::uint64_t page = 0;
  ASSERT_EQ(pool_.allocate_page(&page), AllocateStatus::kOk);
  pool_.set_map_entry(page, PageMapEntry::of_raw(~0ull));
  pool_.free(page * kGranulesPerPage);
  EXPECT_EQ(pages_.used_pages(), 1u);
  pool_.free_page(page);
  EXPECT_EQ(pages_.used_pages(), 0u);
}

}  // namespace
}  // namespace pleat::store
