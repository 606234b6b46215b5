// SPDX-License-Identifier: MIT OR Apache-2.0
// Damaged memory must be found, never returned as data.
#include <gtest/gtest.h>

#include <random>

#include "repetitions.h"
#include "store/pages.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

class Corruption : public testing::Test {
 protected:
  void SetUp() override {
    store_ = make_store(small_store(64));
    session_ = make_session(*store_);
  }
  void put(std::uint64_t slot, const TestPage& page) {
    ASSERT_EQ(session_->write(slot, page.data()), StoreStatus::kOk);
  }
  // Whether the slot reads as corrupt, zeroed and counted.
  bool found(std::uint64_t slot) {
    const StoreStats before = store_->stats();
    TestPage page;
    page.fill(std::byte{0x77});
    if (session_->read(slot, page.data()) != StoreStatus::kCorrupt) return false;
    const StoreStats after = store_->stats();
    return page == TestPage{} && after.failed_reads == before.failed_reads + 1 &&
           after.corrupt_pages == before.corrupt_pages + 1;
  }
  void every_flipped_bit_is_found(std::uint64_t slot, std::size_t bytes) {
    std::byte* const object = StoreInspector::object(*store_, slot);
    for (std::size_t bit = 0; bit < bytes * 8; ++bit) {
      const std::byte mask = static_cast<std::byte>(1u << bit % 8);
      object[bit / 8] ^= mask;
      ASSERT_TRUE(found(slot)) << "bit " << bit;
      object[bit / 8] ^= mask;
    }
  }

  std::unique_ptr<Store> store_;
  std::unique_ptr<Store::Session> session_;
};

TEST_F(Corruption, EveryFlippedBitOfACompressedPageIsFound) {
  put(5, mixed_page(1, 700));
  const std::size_t length = StoreInspector::word(*store_, 5).length();
  every_flipped_bit_is_found(5, sizeof(ObjectHeader) + length);
  EXPECT_EQ(read_page(*session_, 5), mixed_page(1, 700));
}

TEST_F(Corruption, EveryFlippedBitOfARawPageIsFound) {
  put(5, random_page(1));
  every_flipped_bit_is_found(5, kPageSize);
  EXPECT_EQ(read_page(*session_, 5), random_page(1));
}

TEST_F(Corruption, EveryFlippedBitOfAPatternIsFound) {
  const TestPage page = same_filled_page(0x0123'4567'89AB'CDEF);
  put(5, page);
  every_flipped_bit_is_found(5, sizeof(ObjectHeader) + 8);
  EXPECT_EQ(read_page(*session_, 5), page);
}

TEST_F(Corruption, SeveralFlippedBitsAreFound) {
  put(5, mixed_page(1, 1300));
  std::byte* const object = StoreInspector::object(*store_, 5);
  const std::size_t bytes = sizeof(ObjectHeader) + StoreInspector::word(*store_, 5).length();
  std::mt19937_64 random(2);
  for (unsigned round = 0; round < test::repetitions(5000); ++round) {
    TestPage sound;
    std::memcpy(sound.data(), object, bytes);
    const unsigned flips = 2 + static_cast<unsigned>(random() % 30);
    for (unsigned i = 0; i < flips; ++i) {
      object[random() % bytes] ^= static_cast<std::byte>(1u << random() % 8);
    }
    if (std::memcmp(sound.data(), object, bytes) != 0) {
      ASSERT_TRUE(found(5)) << round;
    }
    std::memcpy(object, sound.data(), bytes);
  }
}

TEST_F(Corruption, SwappedObjectsAreFound) {
  const auto swapped = [this](const TestPage& first, const TestPage& second) {
    put(1, first);
    put(2, second);
    const SlotWord word = StoreInspector::word(*store_, 1);
    StoreInspector::set_word(*store_, 1, StoreInspector::word(*store_, 2));
    StoreInspector::set_word(*store_, 2, word);
    EXPECT_TRUE(found(1));
    EXPECT_TRUE(found(2));
    StoreInspector::set_word(*store_, 2, StoreInspector::word(*store_, 1));
    StoreInspector::set_word(*store_, 1, word);
    EXPECT_EQ(read_page(*session_, 1), first);
    EXPECT_EQ(read_page(*session_, 2), second);
  };
  swapped(mixed_page(1, 700), mixed_page(2, 700));
  // The same bytes: only the slot tells them apart.
  swapped(mixed_page(1, 700), mixed_page(1, 700));
  swapped(random_page(1), random_page(1));
  swapped(same_filled_page(0x0123'4567'89AB'CDEF), same_filled_page(0x0123'4567'89AB'CDEF));
}

TEST_F(Corruption, DamagedLocationOrLengthIsFound) {
  for (std::uint64_t slot = 0; slot < 40; ++slot) put(slot, mixed_page(slot, 20 * slot));
  put(50, random_page(50));
  for (const std::uint64_t slot : {std::uint64_t{7}, std::uint64_t{50}}) {
    const SlotWord sound = StoreInspector::word(*store_, slot);
    for (unsigned bit = 0; bit < SlotWord::kKindShift; ++bit) {
      StoreInspector::set_word(*store_, slot, SlotWord(sound.bits() ^ std::uint64_t{1} << bit));
      EXPECT_TRUE(found(slot)) << "slot " << slot << " bit " << bit;
    }
    StoreInspector::set_word(*store_, slot, sound);
    EXPECT_EQ(session_->read(slot, TestPage{}.data()), StoreStatus::kOk);
  }
}

TEST_F(Corruption, UnknownCodecIsFound) {
  put(7, mixed_page(7, 500));
  const SlotWord sound = StoreInspector::word(*store_, 7);
  StoreInspector::set_word(*store_, 7, SlotWord(sound.bits() | SlotWord::kKindMask));
  EXPECT_TRUE(found(7));
  StoreInspector::set_word(*store_, 7, sound);
}

TEST_F(Corruption, DamageToASlotsObjectCostsNoMemory) {
  for (const TestPage& page : {mixed_page(1, 700), same_filled_page(0x0123'4567'89AB'CDEF)}) {
    put(5, page);
    const std::size_t bytes = sizeof(ObjectHeader) + StoreInspector::word(*store_, 5).data_bytes();
    for (std::size_t bit = 0; bit < bytes * 8; ++bit) {
      StoreInspector::object(*store_, 5)[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      session_->discard(5, 1);
      ASSERT_EQ(store_->stats().mem_used_total, 0u) << "bit " << bit;
      put(5, page);
    }
    session_->discard(5, 1);
  }
}

// Its word leads to another's object then, which stays.
TEST_F(Corruption, ADamagedLocationCostsNoOtherPage) {
  put(1, mixed_page(1, 700));
  put(2, mixed_page(2, 700));
  StoreInspector::set_word(*store_, 1, StoreInspector::word(*store_, 2));
  session_->discard(1, 1);
  for (std::uint64_t slot = 3; slot < 9; ++slot) put(slot, mixed_page(slot, 700));
  EXPECT_EQ(read_page(*session_, 2), mixed_page(2, 700));
}

TEST_F(Corruption, SoundCheckOverBytesThatDoNotDecompressIsFound) {
  put(7, mixed_page(7, 500));
  const SlotWord word = StoreInspector::word(*store_, 7);
  std::byte* const object = StoreInspector::object(*store_, 7);
  std::memset(object + sizeof(ObjectHeader), 0xFF, word.length());
  const ObjectHeader header{7, static_cast<std::uint32_t>(data_check(object + sizeof(ObjectHeader),
                                                                     word.length(), 7, word))};
  std::memcpy(object, &header, sizeof(header));
  EXPECT_TRUE(found(7));
}

TEST_F(Corruption, APartOfADamagedPageIsNotWritten) {
  put(7, mixed_page(7, 500));
  StoreInspector::object(*store_, 7)[20] ^= std::byte{1};
  const TestPage part = random_page(1);
  EXPECT_EQ(session_->write_part(7, 0, part.data(), 512), StoreStatus::kCorrupt);
  EXPECT_EQ(store_->stats().failed_writes, 1u);
  EXPECT_EQ(store_->stats().corrupt_pages, 1u);
  EXPECT_EQ(store_->stats().failed_reads, 0u);
  EXPECT_TRUE(found(7));
  // A whole page replaces it, and then all is well again.
  put(7, part);
  EXPECT_EQ(read_page(*session_, 7), part);
  EXPECT_EQ(to_errno(StoreStatus::kCorrupt), -EIO);
}

}  // namespace
}  // namespace pleat::store
