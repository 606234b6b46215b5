// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages must have one owner, runs must stay in their region, and a span of any size must be found
// as long as the reserve is what it should be.
#include "store/page_allocator.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "repetitions.h"

namespace pleat::store {
namespace {

// An allocator over `regions` regions, and the background thread's part done by hand.
class Pages : public testing::Test {
 protected:
  static constexpr std::uint64_t kRegions = 64;

  void make(std::uint64_t target_pages) {
    allocator_.emplace(std::span(words_), used_max_, target_pages, bell_);
    fill();
  }
  void fill() {
    while (allocator_->wants_growth()) {
      const auto region = allocator_->region_to_grow();
      if (!region) return;
      const PageRun run = allocator_->absent_run(*region);
      ASSERT_GT(run.count, 0u);
      allocator_->add_ready(run);
    }
  }
  std::optional<std::uint64_t> take(unsigned count, bool limited = true) {
    std::uint64_t first = 0;
    if (allocator_->allocate(count, limited, &first) != AllocateStatus::kOk) return std::nullopt;
    return first;
  }

  std::vector<RegionWords> words_ = std::vector<RegionWords>(kRegions);
  std::atomic<std::uint64_t> used_max_{0};
  Doorbell bell_;
  std::optional<PageAllocator> allocator_;
};

TEST_F(Pages, NothingIsReadyBeforeItIsAdded) {
  allocator_.emplace(std::span(words_), used_max_, 64, bell_);
  EXPECT_TRUE(allocator_->wants_growth());
  EXPECT_FALSE(take(1));
  EXPECT_EQ(allocator_->used_pages(), 0u);
}

TEST_F(Pages, RandomUseGivesEachPageOneOwner) {
  make(512);
  std::mt19937_64 random(4);
  std::map<std::uint64_t, unsigned> runs;
  std::uint64_t used = 0;
  std::vector<bool> owned(kRegions * kRegionPages);
  for (unsigned step = 0; step < test::repetitions(200'000); ++step) {
    const bool filling = step / 4000 % 2 == 0;
    if (random() % 100 < (filling ? 60 : 40)) {
      const unsigned count = 1 + static_cast<unsigned>(random() % kSpanPagesMax);
      const auto first = take(count);
      if (!first) {
        fill();
        continue;
      }
      ASSERT_EQ(*first / kRegionPages, (*first + count - 1) / kRegionPages);
      for (unsigned i = 0; i < count; ++i) {
        ASSERT_FALSE(owned[*first + i]);
        owned[*first + i] = true;
      }
      runs[*first] = count;
      used += count;
    } else if (!runs.empty()) {
      auto run = runs.lower_bound(random() % owned.size());
      if (run == runs.end()) run = runs.begin();
      for (unsigned i = 0; i < run->second; ++i) owned[run->first + i] = false;
      allocator_->release(run->first, run->second);
      used -= run->second;
      runs.erase(run);
    }
    if (step % 16 == 0) fill();
    if (step % 128 == 0 || (step % 64 == 0 && allocator_->has_surplus())) {
      while (const auto surplus = allocator_->claim_surplus()) {
        for (std::uint64_t i = 0; i < surplus->count; ++i) {
          ASSERT_FALSE(owned[surplus->first + i]);
        }
      }
    }
    ASSERT_EQ(allocator_->used_pages(), used);
  }
}

TEST_F(Pages, ScatteredReadyPagesDoNotStarveLargeSpans) {
  make(512);
  // Every second page of the first regions is freed: many ready pages and no run of two.
  std::vector<std::uint64_t> pages;
  for (int i = 0; i < 2000; ++i) {
    const auto page = take(1);
    ASSERT_TRUE(page);
    pages.push_back(*page);
    fill();
  }
  for (std::size_t i = 0; i < pages.size(); i += 2) allocator_->release(pages[i], 1);
  while (allocator_->claim_surplus()) {
  }
  fill();
  for (unsigned count = kSpanPagesMax; count >= 1; --count) EXPECT_TRUE(take(count)) << count;
}

TEST_F(Pages, ARunThatFitsIsFoundBehindManyThatAreTooShort) {
  make(512);
  constexpr std::uint64_t kUsedRegions = 60;
  for (std::uint64_t i = 0; i < kUsedRegions * kRegionPages / kSpanPagesMax; ++i) {
    ASSERT_TRUE(take(kSpanPagesMax));
    fill();
  }
  for (std::uint64_t region = 0; region < 50; ++region) {
    allocator_->release(region * kRegionPages + 20, 3);
  }
  const std::uint64_t fitting = 55 * kRegionPages + 9;
  allocator_->release(fitting, 7);
  EXPECT_EQ(take(7), fitting);
  // And what is short is not cut from something longer.
  EXPECT_EQ(take(3), 20u);
  EXPECT_EQ(take(2), kRegionPages + 20);
  EXPECT_EQ(take(1), kRegionPages + 22);
}

TEST_F(Pages, SurplusGoesDownToTheTargetExactly) {
  make(512);
  std::vector<std::uint64_t> pages;
  for (int i = 0; i < 3000; ++i) {
    pages.push_back(*take(1));
    if (i % 8 == 0) fill();
  }
  fill();
  for (const std::uint64_t page : pages) allocator_->release(page, 1);
  EXPECT_GT(allocator_->ready_pages(), 3000u);
  while (allocator_->claim_surplus()) {
  }
  EXPECT_EQ(allocator_->ready_pages(), 512u);
  EXPECT_FALSE(allocator_->wants_growth());
}

TEST_F(Pages, LazyTrimmingLeavesASmallSurplusAlone) {
  make(512);
  const auto run = take(16);
  fill();
  allocator_->release(*run, 16);
  EXPECT_GT(allocator_->ready_pages(), 512u);
  EXPECT_FALSE(allocator_->has_surplus());
  EXPECT_TRUE(allocator_->claim_surplus());
}

TEST_F(Pages, LimitHoldsAndMayBeLiftedAndIgnored) {
  make(512);
  allocator_->set_limit_pages(10);
  EXPECT_TRUE(take(6));
  std::uint64_t first = 0;
  EXPECT_EQ(allocator_->allocate(5, true, &first), AllocateStatus::kOverLimit);
  EXPECT_TRUE(take(4));
  EXPECT_FALSE(allocator_->over_limit());
  EXPECT_TRUE(take(1, false));
  EXPECT_TRUE(allocator_->over_limit());
  allocator_->set_limit_pages(0);
  EXPECT_FALSE(allocator_->over_limit());
  EXPECT_TRUE(take(16));
  EXPECT_EQ(allocator_->used_pages_max(), 27u);
}

TEST_F(Pages, PeakStaysUntilReset) {
  make(512);
  const auto run = take(16);
  const auto other = take(2);
  allocator_->release(*run, 16);
  EXPECT_EQ(allocator_->used_pages_max(), 18u);
  allocator_->reset_used_max();
  EXPECT_EQ(allocator_->used_pages_max(), 2u);
  allocator_->release(*other, 2);
  EXPECT_EQ(allocator_->used_pages_max(), 2u);
}

TEST_F(Pages, AllOfThePoolCanBeUsed) {
  make(64);
  for (std::uint64_t i = 0; i < kRegions * kRegionPages; ++i) {
    ASSERT_TRUE(take(1)) << i;
    fill();
  }
  EXPECT_FALSE(take(1));
  EXPECT_FALSE(allocator_->region_to_grow());
}

}  // namespace
}  // namespace pleat::store
