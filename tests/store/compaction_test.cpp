// SPDX-License-Identifier: MIT OR Apache-2.0
// Compaction must free what overwrites and discards leave, lose or change no page, and keep nobody
// waiting.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "repetitions.h"
#include "store/compactor.h"
#include "store/stamped_page.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

// A page whose object is of one of many sizes.
TestPage sized_page(std::uint64_t seed) { return mixed_page(seed + 1, seed * 37 % 3000); }

class Compaction : public testing::Test {
 protected:
  static constexpr std::uint64_t kSlots = 16384;

  void SetUp() override {
    store_ = make_store(small_store(kSlots));
    session_ = make_session(*store_);
  }
  void put(std::uint64_t slot, const TestPage& page) {
    while (session_->write(slot, page.data()) != StoreStatus::kOk) {
      ASSERT_TRUE(store_->settle(20'000));
    }
  }
  // Slots 0, 4, 8, ... of a store that was full.
  void fill_sparsely() {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) put(slot, sized_page(slot));
    for (std::uint64_t slot = 0; slot < kSlots; slot += 4) session_->discard(slot + 1, 3);
  }
  void expect_pages() {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      ASSERT_EQ(read_page(*session_, slot), slot % 4 == 0 ? sized_page(slot) : TestPage{}) << slot;
    }
  }
  Pool& pool() { return StoreInspector::pool(*store_); }
  template <typename Condition>
  static bool wait_for(Condition condition) {
    for (int wait = 0; !condition() && wait < 2000; ++wait) usleep(10'000);
    return condition();
  }

  std::unique_ptr<Store> store_;
  std::unique_ptr<Store::Session> session_;
};

TEST_F(Compaction, BeginsByItselfAndKeepsEveryPage) {
  fill_sparsely();
  EXPECT_TRUE(wait_for([this] { return pool().surplus_pages() <= pool().surplus_limit(); }));
  const StoreStats stats = store_->stats();
  EXPECT_GT(stats.pages_compacted, 0u);
  EXPECT_LE(stats.mem_used_total, stats.mem_used_max / 2);
  expect_pages();
}

TEST_F(Compaction, FreesAllSurplusWhenAskedAndSaysHowMuch) {
  fill_sparsely();
  ASSERT_TRUE(wait_for([this] { return pool().surplus_pages() <= pool().surplus_limit(); }));
  const StoreStats before = store_->stats();
  const std::uint64_t freed = store_->compact();
  const StoreStats after = store_->stats();
  EXPECT_GT(freed, 0u);
  EXPECT_EQ(after.pages_compacted - before.pages_compacted, freed);
  EXPECT_EQ(before.mem_used_total - after.mem_used_total, freed * kPageSize);
  EXPECT_EQ(after.orig_data_size, before.orig_data_size);
  EXPECT_EQ(after.compr_data_size, before.compr_data_size);
  EXPECT_EQ(pool().surplus_pages(), 0u);
  for (unsigned i = 0; i < kSizeClasses.count; ++i) {
    EXPECT_LT(pool().free_objects(i), kSizeClasses.classes[i].objects) << "class " << i;
  }
  expect_pages();
  // And there is no more to be had.
  EXPECT_EQ(store_->compact(), 0u);
}

TEST_F(Compaction, RemaindersOfClassesMoveIntoLargerOnes) {
  // Of each size so few that no class fills a span.
  constexpr std::uint64_t kSizes = 50;
  const auto page_of = [](std::uint64_t slot) { return mixed_page(slot, 600 + 40 * slot); };
  for (std::uint64_t slot = 0; slot < kSizes; ++slot) put(slot, page_of(slot));
  ASSERT_EQ(pool().surplus_pages(), 0u);
  const StoreStats before = store_->stats();
  EXPECT_GT(store_->compact(), 0u);
  const StoreStats after = store_->stats();
  EXPECT_LT(after.mem_used_total, before.mem_used_total * 9 / 10);
  EXPECT_EQ(after.compr_data_size, before.compr_data_size);
  for (std::uint64_t slot = 0; slot < kSizes; ++slot) {
    ASSERT_EQ(read_page(*session_, slot), page_of(slot));
  }
  // Objects in classes that are not their own are freed like others.
  session_->discard(0, kSlots);
  EXPECT_EQ(store_->stats().mem_used_total, 0u);
}

TEST_F(Compaction, AMovedPageMovesOn) {
  Store::State& state = StoreInspector::state(*store_);
  Doorbell bell;
  Counters::Count freed{0};
  Compactor compactor(state.slots, state.pool, bell, freed);
  const auto put_in_class = [this](std::uint64_t slot, unsigned size_class) {
    for (std::size_t bytes = 500; bytes < 2000; ++bytes) {
      put(slot, mixed_page(slot, bytes));
      if (StoreInspector::size_class(*store_, slot) == size_class) return mixed_page(slot, bytes);
    }
    ADD_FAILURE() << "no page is of class " << size_class;
    return TestPage{};
  };
  std::vector<TestPage> pages;
  unsigned size_class = pool().serving_class(size_class_of(object_bytes(1000)));
  for (unsigned step = 0; step < 4; ++step) {
    pages.push_back(put_in_class(step, size_class));
    const unsigned larger = pool().serving_class(size_class + 1);
    // Into the class go all pages so far, of which the first are far from their own.
    if (step != 0) {
      const unsigned smaller = StoreInspector::size_class(*store_, step - 1);
      EXPECT_EQ(compactor.drain(smaller, size_class - smaller),
                kSizeClasses.classes[smaller].pages);
    }
    size_class = larger;
  }
  EXPECT_EQ(pool().spans(), 1u);
  for (std::uint64_t slot = 0; slot < pages.size(); ++slot) {
    EXPECT_EQ(read_page(*session_, slot), pages[slot]);
  }
}

TEST_F(Compaction, ClassesThatDoNotServeAnyMoreAreEmptiedIntoThoseThatDo) {
  // A full store has objects in many classes, a small one in few.
  fill_sparsely();
  constexpr std::uint64_t kLeft = kSlots / 16;
  session_->discard(kLeft, kSlots - kLeft);
  ASSERT_TRUE(store_->settle(20'000));
  Store::State& state = StoreInspector::state(*store_);
  Doorbell bell;
  Counters::Count freed{0};
  Compactor compactor(state.slots, state.pool, bell, freed);
  for (std::uint64_t before = 1; before != compactor.freed_pages();) {
    before = compactor.freed_pages();
    compactor.compact_within_classes(0);
  }
  for (unsigned i = 0; i < kSizeClasses.count; ++i) {
    if (pool().free_objects(i) == 0) continue;
    std::uint64_t free = 0;
    for (unsigned j = i; j <= pool().serving_class(i); ++j) free += pool().free_objects(j);
    // There is no room for the objects of one more span.
    EXPECT_LT(free, kSizeClasses.classes[i].objects) << "class " << i;
  }
  for (std::uint64_t slot = 0; slot < kLeft; slot += 4) {
    ASSERT_EQ(read_page(*session_, slot), sized_page(slot));
  }
}

TEST_F(Compaction, AQuietStoreIsCompactedWithoutBeingAsked) {
  // As above: no class has surplus, so nothing rings.
  for (std::uint64_t slot = 0; slot < 250; ++slot) put(slot, mixed_page(slot, 600 + 8 * slot));
  ASSERT_EQ(pool().surplus_pages(), 0u);
  Store::State& state = StoreInspector::state(*store_);
  Doorbell bell;
  Counters::Count freed{0};
  {
    Compactor compactor(state.slots, state.pool, bell, freed);
    ASSERT_TRUE(compactor.start(false, 10'000'000));
    EXPECT_TRUE(wait_for([&] { return compactor.freed_pages() > 0; }));
    // Until it finds no more.
    for (std::uint64_t before = 0; before != compactor.freed_pages();) {
      before = compactor.freed_pages();
      usleep(100'000);
      (void)compactor.settle(UINT64_MAX);
    }
  }
  EXPECT_EQ(store_->compact(), 0u);
  for (std::uint64_t slot = 0; slot < 250; ++slot) {
    ASSERT_EQ(read_page(*session_, slot), mixed_page(slot, 600 + 8 * slot));
  }
}

TEST_F(Compaction, AMovedPageIsPublishedAsANewVersion) {
  fill_sparsely();
  std::vector<SlotWord> before;
  for (std::uint64_t slot = 0; slot < kSlots; slot += 4) {
    before.push_back(StoreInspector::word(*store_, slot));
  }
  (void)store_->compact();
  std::size_t moved = 0;
  for (std::uint64_t slot = 0; slot < kSlots; slot += 4) {
    const SlotWord now = StoreInspector::word(*store_, slot);
    const SlotWord then = before[slot / 4];
    // It may have become older.
    if (now.with_age(0) == then.with_age(0)) continue;
    ++moved;
    EXPECT_NE(now.version(), then.version());
    EXPECT_EQ(now.length(), then.length());
  }
  EXPECT_GT(moved, 0u);
}

TEST_F(Compaction, APageThatIsBeingReadStaysAndIsNotWaitedFor) {
  fill_sparsely();
  std::vector<SlotWord> words;
  for (std::uint64_t slot = 0; slot < kSlots; slot += 8) {
    // What a reader does. The compactor may move the page meanwhile.
    auto& word = StoreInspector::state(*store_).slot_word(slot);
    std::uint64_t seen = word.load();
    while (!word.compare_exchange_weak(seen, SlotWord(seen).with_lock().bits())) {
    }
    words.push_back(SlotWord(seen));
  }
  (void)store_->compact();
  for (std::uint64_t slot = 0; slot < kSlots; slot += 8) {
    ASSERT_EQ(StoreInspector::word(*store_, slot), words[slot / 8].with_lock());
    StoreInspector::set_word(*store_, slot, words[slot / 8]);
  }
  EXPECT_GT(store_->compact(), 0u);
  expect_pages();
}

TEST_F(Compaction, DamagedWordsAndHeadersDoNoHarmToOthers) {
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) put(slot, sized_page(slot));
  std::mt19937_64 random(3);
  for (std::uint64_t slot = 0; slot < kSlots; slot += 64) {
    StoreInspector::object(*store_, slot)[random() % 4] ^= std::byte{0x11};
    // A length that the object's place cannot have.
    const SlotWord word = StoreInspector::word(*store_, slot + 8);
    StoreInspector::set_word(*store_, slot + 8, SlotWord(word.bits() | std::uint64_t{0xFFF} << 38));
  }
  for (std::uint64_t slot = 0; slot < kSlots; slot += 4) session_->discard(slot + 1, 3);
  EXPECT_GT(store_->compact() + store_->stats().pages_compacted, 0u);
  for (std::uint64_t slot = 0; slot < kSlots; slot += 4) {
    // Reading the second kind would look at what is behind the object, which may change.
    if (slot % 64 == 8) continue;
    TestPage page;
    ASSERT_EQ(session_->read(slot, page.data()),
              slot % 64 == 0 ? StoreStatus::kCorrupt : StoreStatus::kOk)
        << slot;
    ASSERT_EQ(page, slot % 64 == 0 ? TestPage{} : sized_page(slot));
  }
}

TEST_F(Compaction, MakesRoomWhereTheLimitRefusesWrites) {
  for (std::uint64_t slot = 0; slot < 4096; ++slot) put(slot, mixed_page(slot, 1000));
  const std::uint64_t full = store_->stats().mem_used_total;
  // Few enough that compaction does not begin by itself, scattered so that no span becomes empty.
  for (std::uint64_t slot = 0; slot < 4096; slot += 60) session_->discard(slot, 1);
  ASSERT_GT(pool().surplus_pages(), 0u);
  ASSERT_LE(pool().surplus_pages(), pool().surplus_limit());
  ASSERT_EQ(store_->stats().pages_compacted, 0u);
  store_->set_mem_limit(full);
  EXPECT_EQ(session_->write(5000, random_page(1).data()), StoreStatus::kOverLimit);
  EXPECT_TRUE(wait_for(
      [this] { return session_->write(5000, random_page(1).data()) == StoreStatus::kOk; }));
  EXPECT_EQ(read_page(*session_, 5000), random_page(1));
}

TEST_F(Compaction, MakesRoomWhereThePoolIsUsedUp) {
  for (std::uint64_t slot = 0; slot < 4096; ++slot) put(slot, mixed_page(slot, 1000));
  // The pool's pages are taken from under the writers until none is left, ready or absent.
  PageAllocator& pages = StoreInspector::state(*store_).pages;
  while (pages.ready_pages() != 0 || pages.region_to_grow()) {
    std::uint64_t page = 0;
    if (pages.allocate(1, false, &page) != AllocateStatus::kOk) (void)store_->settle(50);
  }
  for (std::uint64_t slot = 0; slot < 4096; slot += 60) session_->discard(slot, 1);
  ASSERT_EQ(store_->stats().pages_compacted, 0u);
  EXPECT_EQ(session_->write(5000, random_page(1).data()), StoreStatus::kNoReserve);
  EXPECT_TRUE(wait_for(
      [this] { return session_->write(5000, random_page(1).data()) == StoreStatus::kOk; }));
  EXPECT_EQ(read_page(*session_, 5000), random_page(1));
}

TEST_F(Compaction, SurplusIsWhatTheClassesHaveTooMuch) {
  std::mt19937_64 random(5);
  for (unsigned step = 0; step < test::repetitions(40'000); ++step) {
    const std::uint64_t slot = random() % kSlots;
    if (random() % 3 == 0) {
      session_->discard(slot, 1);
    } else {
      put(slot, sized_page(random()));
    }
  }
  (void)store_->compact();
  for (int step = 0; step < 2000; ++step) session_->discard(random() % kSlots, 1);
  // What the background thread does meanwhile is between two states.
  ASSERT_TRUE(store_->settle(20'000));
  std::uint64_t surplus = 0;
  for (unsigned i = 0; i < kSizeClasses.count; ++i) {
    const SizeClass& sizes = kSizeClasses.classes[i];
    surplus += pool().free_objects(i) / sizes.objects * sizes.pages;
  }
  EXPECT_EQ(pool().surplus_pages(), surplus);
  session_->discard(0, kSlots);
  ASSERT_TRUE(store_->settle(20'000));
  EXPECT_EQ(pool().surplus_pages(), 0u);
  for (unsigned i = 0; i < kSizeClasses.count; ++i) EXPECT_EQ(pool().free_objects(i), 0u);
}

}  // namespace
}  // namespace pleat::store
