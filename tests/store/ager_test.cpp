// SPDX-License-Identifier: MIT OR Apache-2.0
// A page must never seem to have been left alone for longer than it was, nor keep a mark or an age
// that an access has ended.
#include "store/ager.h"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "store/pages.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

class Ages : public testing::Test {
 protected:
  static constexpr std::uint64_t kSlots = 64;

  void SetUp() override {
    store_ = make_store(small_store(kSlots));
    session_ = make_session(*store_);
    // Its thread would add the minutes that pass in truth.
    ager().end();
  }
  void put(std::uint64_t slot, const TestPage& page) {
    ASSERT_EQ(session_->write(slot, page.data()), StoreStatus::kOk);
  }
  void put_all() {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) put(slot, page_of(slot));
  }
  // Compressible and incompressible ones.
  static TestPage page_of(std::uint64_t slot) {
    return slot % 2 == 0 ? mixed_page(slot, 500) : random_page(slot);
  }
  unsigned age(std::uint64_t slot) { return StoreInspector::word(*store_, slot).age(); }
  Ager& ager() { return StoreInspector::state(*store_).ager; }

  std::unique_ptr<Store> store_;
  std::unique_ptr<Store::Session> session_;
};

TEST_F(Ages, AreNoHigherThanTheTimeThatPassedAndNotTooLow) {
  constexpr std::array<std::uint64_t, 6> kLeast = {0, 0, 1, 12, 144, 1728};
  constexpr std::array<std::uint64_t, 6> kLatest = {0, 1, 13, 157, 1885, 22'621};
  constexpr std::uint64_t kLateMax = 40;
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::array<std::uint64_t, kSlots> accessed{};
  // Behind minute 0 no page is older than it is said to be.
  std::uint64_t minute = 1 + random() % 30'000;
  put_all();
  accessed.fill(minute);
  unsigned oldest = 0;
  for (int step = 0; step < 30'000; ++step) {
    // The thread may be late.
    const std::uint64_t next = minute + 1 + (random() % 50 == 0 ? random() % kLateMax : 0);
    ager().advance(minute, next);
    minute = next;
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      const unsigned now = age(slot);
      // The access was at any moment of its minute.
      const std::uint64_t passed = minute - accessed[slot];
      ASSERT_TRUE(now == 0 || passed > kLeast[now]) << slot << ", " << passed;
      if (now < SlotWord::kAgeMax) {
        ASSERT_LE(passed, kLatest[now + 1] + kLateMax * (now + 2)) << slot;
      }
      oldest = std::max(oldest, now);
    }
    // Few of the slots often, most of them hardly ever.
    if (random() % 3 != 0) continue;
    const std::uint64_t slot = random() % (random() % 100 == 0 ? kSlots : 8);
    (void)read_page(*session_, slot);
    accessed[slot] = minute;
  }
  EXPECT_EQ(oldest, SlotWord::kAgeMax);
}

TEST_F(Ages, EndWithEveryKindOfAccess) {
  put_all();
  const auto make_old = [this] {
    for (std::uint64_t minute = 0; minute < 20; ++minute) ager().advance(minute, minute + 1);
    ASSERT_EQ(age(2), 2u);
    ASSERT_EQ(age(3), 2u);
  };
  for (const std::uint64_t slot : {std::uint64_t{2}, std::uint64_t{3}}) {
    make_old();
    EXPECT_EQ(read_page(*session_, slot), page_of(slot));
    EXPECT_EQ(age(slot), 0u);
    put_all();
    make_old();
    put(slot, page_of(slot));
    EXPECT_EQ(age(slot), 0u);
    put_all();
    make_old();
    const TestPage part = random_page(9);
    ASSERT_EQ(session_->write_part(slot, 512, part.data(), 512), StoreStatus::kOk);
    EXPECT_EQ(age(slot), 0u);
    put_all();
    make_old();
    session_->discard(slot, 1);
    put(slot, page_of(slot));
    EXPECT_EQ(age(slot), 0u);
    put_all();
  }
}

TEST_F(Ages, OfWhatHasNoObjectStayZero) {
  put(0, same_filled_page(7));
  put(1, same_filled_page(0x0123'4567'89AB'CDEF));
  ASSERT_TRUE(store_->mark_idle(0));
  for (std::uint64_t minute = 0; minute < 20; ++minute) ager().advance(minute, minute + 1);
  for (std::uint64_t slot = 0; slot < 3; ++slot) EXPECT_EQ(age(slot), 0u);
  EXPECT_EQ(*store_->mark_idle(0), 0u);
  EXPECT_EQ(read_page(*session_, 0), same_filled_page(7));
  EXPECT_EQ(read_page(*session_, 1), same_filled_page(0x0123'4567'89AB'CDEF));
}

TEST_F(Ages, AMarkStaysUntilTheNextAccess) {
  put_all();
  EXPECT_EQ(*store_->mark_idle(0), kSlots);
  for (std::uint64_t minute = 0; minute < 200; ++minute) ager().advance(minute, minute + 1);
  (void)store_->compact();
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) ASSERT_EQ(age(slot), SlotWord::kIdle);
  (void)read_page(*session_, 4);
  put(5, page_of(5));
  session_->discard(6, 1);
  EXPECT_EQ(age(4), 0u);
  EXPECT_EQ(age(5), 0u);
  // Marked already, they stay so; of the others none is old enough.
  EXPECT_EQ(*store_->mark_idle(1), kSlots - 3);
  ager().advance(11, 12);
  EXPECT_EQ(*store_->mark_idle(60), kSlots - 3);
  ager().advance(12, 24);
  EXPECT_EQ(*store_->mark_idle(60), kSlots - 1);
  EXPECT_EQ(read_page(*session_, 4), page_of(4));
}

TEST_F(Ages, WhoReadsAPageIsNotDisturbed) {
  put_all();
  const SlotWord locked = StoreInspector::word(*store_, 7).with_lock();
  StoreInspector::set_word(*store_, 7, locked);
  ager().advance(0, 1);
  EXPECT_EQ(*store_->mark_idle(0), kSlots - 1);
  EXPECT_EQ(StoreInspector::word(*store_, 7), locked);
  StoreInspector::set_word(*store_, 7, locked.without_lock());
}

TEST(Age, OfSecondsIsRoundedUpAndHasALimit) {
  EXPECT_EQ(age_after(0), 0u);
  EXPECT_EQ(age_after(1), 2u);
  EXPECT_EQ(age_after(60), 2u);
  EXPECT_EQ(age_after(61), 3u);
  EXPECT_EQ(age_after(720), 3u);
  EXPECT_EQ(age_after(8640), 4u);
  EXPECT_EQ(age_after(86'400), 5u);
  EXPECT_EQ(age_after(kAgeSecondsMax), 5u);
  EXPECT_EQ(age_after(kAgeSecondsMax + 1), std::nullopt);
  const auto store = make_store(small_store(64));
  EXPECT_EQ(store->mark_idle(kAgeSecondsMax + 1).error().code, ERANGE);
}

}  // namespace
}  // namespace pleat::store
