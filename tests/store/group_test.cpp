// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages that are compressed with their neighbours must read as they were, and each must be
// replaced by itself, whatever becomes of the others.
#include "store/group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "store/adoption.h"
#include "store/backing_file.h"
#include "store/kin_page.h"
#include "store/pages.h"
#include "store/recompression_fixture.h"
#include "store/slot_owners.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

StoreOptions grouping_store(std::uint64_t slots) {
  return recompressing_store(slots, "lz4hc,block=16384");
}

class Groups : public RecompressionTest {
 protected:
  static constexpr std::uint64_t kSlots = 64;

  void SetUp() override { open(grouping_store(kSlots)); }
  static TestPage page_of(std::uint64_t slot) { return kin_page(slot / kGroupPages, slot); }
  void put_all() {
    for (std::uint64_t slot = 0; slot < store_->slots(); ++slot) put(slot, page_of(slot));
    // A page that compaction moves while it is to be grouped would leave its neighbours single.
    ASSERT_TRUE(store_->settle(20'000));
  }
  void expect_pages(std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t slot = first; slot < end; ++slot) {
      ASSERT_EQ(read_page(*session_, slot), page_of(slot)) << slot;
    }
  }
  void make_groups() {
    put_all();
    ASSERT_EQ(recompress().pages_recompressed, store_->slots());
    ASSERT_EQ(store_->stats().pages_grouped, store_->slots());
    ASSERT_TRUE(store_->settle(20'000));
  }
  std::byte* object(std::uint64_t slot) { return StoreInspector::object(*store_, slot); }
  unsigned members(std::uint64_t slot) { return members_of(object(slot)).load(); }
  bool is_corrupt(std::uint64_t slot) {
    TestPage page;
    page.fill(std::byte{0x77});
    return session_->read(slot, page.data()) == StoreStatus::kCorrupt && page == TestPage{};
  }
};

TEST_F(Groups, NeighboursBecomeOneObject) {
  put_all();
  const StoreStats before = store_->stats();
  const RecompressResult result = recompress();
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.pages_recompressed, kSlots);
  const StoreStats after = store_->stats();
  EXPECT_EQ(after.pages_grouped, kSlots);
  EXPECT_EQ(after.orig_data_size, before.orig_data_size);
  EXPECT_EQ(after.compr_data_size, before.compr_data_size - result.bytes_saved);
  EXPECT_EQ(after.pages_recompressed, kSlots);
  EXPECT_EQ(after.recompress_saved, result.bytes_saved);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    ASSERT_TRUE(word(slot).grouped() && word(slot).settled()) << slot;
    ASSERT_EQ(word(slot).location(), word(first_of_group(slot)).location());
    ASSERT_EQ(members(slot), kAllMembers);
  }
  expect_pages(0, kSlots);
  EXPECT_EQ(recompress().pages_recompressed, 0u);
  // Singly they take more.
  StoreOptions options = grouping_store(kSlots);
  options.recompress = "lz4hc";
  open(options);
  put_all();
  (void)recompress();
  EXPECT_GT(store_->stats().compr_data_size, after.compr_data_size * 11 / 10);
}

// Made of pages of the same codec, some of which stay single; and damage to a block is found.
TEST_F(Groups, AreOfZstdToo) {
  StoreOptions options = recompressing_store(kSlots, "zstd,block=16384");
  options.codec = "zstd";
  open(options);
  put_all();
  expect_pages(0, kSlots);
  session_->discard(kSlots - 1, 1);
  const RecompressResult result = recompress();
  EXPECT_EQ(result.pages_recompressed, kSlots - kGroupPages);
  EXPECT_EQ(store_->stats().pages_grouped, kSlots - kGroupPages);
  expect_pages(0, kSlots - 1);
  const TestPage page = read_page(*session_, 2);
  std::byte* const bytes = object(2);
  for (std::size_t at = sizeof(GroupHeader); at < sizeof(GroupHeader) + 64; ++at) {
    bytes[at] ^= std::byte{0x10};
    EXPECT_TRUE(is_corrupt(2)) << at;
    bytes[at] ^= std::byte{0x10};
  }
  EXPECT_EQ(read_page(*session_, 2), page);
  EXPECT_EQ(session_->write(2, page_of(1).data()), StoreStatus::kOk);
  EXPECT_EQ(read_page(*session_, 2), page_of(1));
  EXPECT_EQ(read_page(*session_, 3), page_of(3));
}

TEST_F(Groups, WhatIsNoWholeGroupIsRecompressedSingly) {
  put_all();
  session_->discard(1, 1);
  put(6, same_filled_page(7));
  for (std::uint64_t slot = 8; slot < 12; ++slot) put(slot, random_page(slot));
  for (std::uint64_t slot = 12; slot < 16; ++slot) put(slot, kin_page(slot, slot));
  (void)recompress();
  for (std::uint64_t slot = 0; slot < 16; ++slot) {
    EXPECT_FALSE(word(slot).grouped()) << slot;
    if (slot != 1 && slot != 6) {
      EXPECT_TRUE(word(slot).settled()) << slot;
    }
  }
  EXPECT_EQ(store_->stats().pages_grouped, kSlots - 16);
  expect_pages(16, kSlots);
  EXPECT_EQ(read_page(*session_, 13), kin_page(13, 13));
  EXPECT_EQ(read_page(*session_, 2), page_of(2));
}

TEST_F(Groups, TakeInWhatWasRecompressedByItself) {
  put_all();
  session_->discard(1, 1);
  session_->discard(5, 1);
  EXPECT_EQ(recompress().pages_recompressed, kSlots - 2);
  EXPECT_FALSE(word(0).grouped() || word(4).grouped());
  put(1, page_of(1));
  // Not one that is not meant, and not where all have been tried.
  ASSERT_TRUE(store_->mark_idle(0));
  (void)read_page(*session_, 0);
  RecompressResult result = recompress({.only_idle = true});
  EXPECT_EQ(result.pages_recompressed + result.pages_kept, 1u);
  EXPECT_FALSE(word(0).grouped());
  result = recompress();
  EXPECT_EQ(result.pages_recompressed + result.pages_kept, 0u);
  put(1, page_of(1));
  result = recompress();
  EXPECT_EQ(result.pages_recompressed, kGroupPages);
  EXPECT_EQ(result.pages_kept, 0u);
  EXPECT_TRUE(word(0).grouped() && word(3).grouped());
  expect_pages(0, 5);
  expect_nothing_leaked(*store_, *session_);
}

TEST_F(Groups, PagesWithNothingInCommonAreTriedByThemselvesOnce) {
  for (std::uint64_t slot = 0; slot < kGroupPages; ++slot) put(slot, kin_page(slot, slot));
  EXPECT_EQ(recompress().pages_recompressed, kGroupPages);
  EXPECT_FALSE(word(0).grouped());
  put(1, kin_page(1, 1));
  const RecompressResult result = recompress();
  EXPECT_EQ(result.pages_recompressed, 1u);
  EXPECT_EQ(result.pages_kept, 0u);
  EXPECT_EQ(word(0).age(), 0u);
}

TEST_F(Groups, ThatLostPagesAreParted) {
  constexpr std::uint64_t kMany = 512;
  open(grouping_store(kMany));
  for (std::uint64_t slot = 0; slot < kMany; ++slot) put(slot, cousin_page(slot / 4, slot));
  ASSERT_TRUE(store_->settle(20'000));
  (void)recompress();
  ASSERT_EQ(store_->stats().pages_grouped, kMany);
  for (std::uint64_t slot = 1; slot < kMany; slot += kGroupPages) session_->discard(slot, 1);
  session_->discard(2, 2);
  (void)store_->compact();
  const std::uint64_t broken = store_->stats().mem_used_total;
  RecompressResult result = recompress();
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.pages_parted, kMany / kGroupPages * 3 - 2);
  EXPECT_EQ(result.pages_recompressed + result.pages_kept, 0u);
  EXPECT_EQ(result.bytes_saved, 0u);
  EXPECT_EQ(store_->stats().pages_grouped, 0u);
  (void)store_->compact();
  EXPECT_LT(store_->stats().mem_used_total, broken);
  for (std::uint64_t slot = 4; slot < kMany; slot += slot % 4 == 0 ? 2 : 1) {
    ASSERT_EQ(read_page(*session_, slot), cousin_page(slot / 4, slot)) << slot;
  }
  result = recompress();
  EXPECT_EQ(result.pages_parted + result.pages_recompressed + result.pages_kept, 0u);
  expect_nothing_leaked(*store_, *session_);
}

TEST_F(Groups, ThatLostPagesTakeInWhatCameInTheirPlace) {
  make_groups();
  for (std::uint64_t slot = 1; slot < kSlots; slot += kGroupPages) put(slot, page_of(slot));
  session_->discard(2, 1);
  session_->discard(5, 2);
  // Twice, so that compaction that is under way keeps none from it.
  (void)recompress();
  ASSERT_TRUE(store_->settle(20'000));
  (void)recompress();
  EXPECT_EQ(store_->stats().pages_grouped, kSlots - 2 * kGroupPages);
  expect_pages(8, kSlots);
  expect_nothing_leaked(*store_, *session_);
}

TEST_F(Groups, AreNotPartedWhereThatTakesMoreOrIsNotMeant) {
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) put(slot, cousin_page(slot / 4, slot));
  // Together they take as much as one.
  for (std::uint64_t slot = 0; slot < kGroupPages; ++slot) put(slot, random_page(0));
  (void)recompress();
  ASSERT_TRUE(word(0).grouped() && word(4).grouped() && word(8).grouped());
  for (const std::uint64_t slot : {1, 5, 9}) session_->discard(slot, 1);
  ASSERT_TRUE(store_->mark_idle(0));
  (void)read_page(*session_, 4);
  const SlotWord locked = word(10).with_lock();
  StoreInspector::set_word(*store_, 10, locked);
  EXPECT_EQ(recompress({.only_idle = true}).pages_parted, 0u);
  EXPECT_EQ(recompress({.only_huge = true}).pages_parted, 0u);
  EXPECT_EQ(recompress({.bytes_min = kPageSize}).pages_parted, 0u);
  EXPECT_EQ(recompress({.pages_max = 2, .first_slot = 4}).pages_parted, 0u);
  for (const std::uint64_t slot : {0, 4, 8}) {
    EXPECT_TRUE(word(slot).grouped()) << slot;
    EXPECT_LE(word(slot).age(), SlotWord::kIdle) << slot;
  }
  StoreInspector::set_word(*store_, 10, locked.without_lock());
  EXPECT_EQ(recompress().pages_parted, 6u);
  EXPECT_TRUE(word(0).grouped());
  EXPECT_EQ(read_page(*session_, 3), random_page(0));
  EXPECT_EQ(read_page(*session_, 10), cousin_page(2, 10));
}

TEST_F(Groups, AreMadeWithinTheRequest) {
  put_all();
  ASSERT_TRUE(store_->mark_idle(0));
  (void)read_page(*session_, 2);
  RecompressResult result = recompress({.only_idle = true, .pages_max = 6});
  EXPECT_EQ(result.pages_recompressed + result.pages_kept, 6u);
  EXPECT_FALSE(result.done);
  EXPECT_FALSE(word(0).grouped() || word(8).grouped());
  EXPECT_TRUE(word(4).age() == SlotWord::kIdle && word(0).settled() && !word(2).settled());
  result = recompress({.only_idle = true, .pages_max = 4, .first_slot = 12});
  EXPECT_TRUE(word(12).grouped() && word(15).grouped() && !word(16).settled());
  EXPECT_EQ(word(12).age(), SlotWord::kIdle);
  RecompressRequest request{.duration_ns = 1};
  EXPECT_FALSE(recompress(request).done);
  result = recompress();
  EXPECT_TRUE(result.done);
  expect_pages(0, kSlots);
}

TEST_F(Groups, EachMemberIsReplacedByItselfInAnyOrder) {
  open(grouping_store(2 * kGroupPages));
  std::array<std::uint64_t, kGroupPages> order{};
  std::iota(order.begin(), order.end(), 0);
  do {
    make_groups();
    std::byte* const shared = object(0);
    unsigned left = kAllMembers;
    for (const std::uint64_t slot : order) {
      ASSERT_EQ(members_of(shared).load(), left);
      if (slot % 2 == 0) {
        session_->discard(slot, 1);
      } else {
        put(slot, random_page(slot));
      }
      left &= ~member_bit(slot);
      for (std::uint64_t other = 0; other < kGroupPages; ++other) {
        if ((left & member_bit(other)) != 0) {
          ASSERT_EQ(read_page(*session_, other), page_of(other));
        }
      }
    }
    session_->discard(0, store_->slots());
    ASSERT_EQ(store_->stats().mem_used_total, 0u);
    ASSERT_EQ(store_->stats().pages_grouped, 0u);
    ASSERT_EQ(store_->stats().compr_data_size, 0u);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(Groups, PartsOfMembersAreWritten) {
  make_groups();
  const TestPage part = random_page(1);
  ASSERT_EQ(session_->write_part(5, 512, part.data(), 1024), StoreStatus::kOk);
  TestPage expected = page_of(5);
  std::memcpy(expected.data() + 512, part.data(), 1024);
  EXPECT_EQ(read_page(*session_, 5), expected);
  EXPECT_FALSE(word(5).grouped());
  EXPECT_EQ(members(4), kAllMembers & ~member_bit(5));
  expect_pages(0, 5);
  expect_pages(6, kSlots);
}

TEST_F(Groups, AreMovedByCompactionWithAllTheirMembers) {
  constexpr std::uint64_t kMany = 1024;
  constexpr std::uint64_t kKept = 10 * kGroupPages;  // a group of so many slots stays
  open(grouping_store(kMany));
  put_all();
  // Compaction begins meanwhile, and a page that it moves just then leaves its neighbours single.
  (void)recompress();
  ASSERT_GT(store_->stats().pages_grouped, kMany / 2);
  ASSERT_TRUE(store_->settle(20'000));
  std::uint64_t locked = kKept;  // of this group a word is locked
  while (locked < kMany && !word(locked).grouped()) locked += kKept;
  ASSERT_LT(locked, kMany);
  std::vector<SlotWord> words;
  for (std::uint64_t slot = 0; slot < kMany; ++slot) words.push_back(word(slot));
  StoreInspector::set_word(*store_, locked + 2, word(locked + 2).with_lock());
  for (std::uint64_t slot = 0; slot < kMany; ++slot) {
    if (slot % kKept >= kGroupPages) session_->discard(slot, 1);
  }
  session_->discard(1, 1);
  const std::uint64_t before = store_->stats().mem_used_total;
  (void)store_->compact();
  for (std::uint64_t slot = locked; slot < locked + kGroupPages; ++slot) {
    EXPECT_EQ(word(slot).without_lock(), words[slot]);
  }
  StoreInspector::set_word(*store_, locked + 2, words[locked + 2]);
  (void)store_->compact();
  unsigned moved = 0;
  for (std::uint64_t slot = 0; slot < kMany; slot += kKept) {
    const bool is_grouped = words[slot].grouped();
    moved += is_grouped && word(slot).location() != words[slot].location();
    for (std::uint64_t i = slot; i < slot + kGroupPages; ++i) {
      if (i == 1) continue;
      ASSERT_EQ(word(i).grouped(), is_grouped);
      if (is_grouped) {
        ASSERT_EQ(word(i).location(), word(slot).location());
      }
      ASSERT_EQ(read_page(*session_, i), page_of(i));
    }
    if (!is_grouped) continue;
    EXPECT_EQ(members(slot), slot == 0 ? kAllMembers & ~member_bit(1) : kAllMembers);
  }
  EXPECT_GT(moved, 0u);
  EXPECT_LT(store_->stats().mem_used_total, before);
  expect_nothing_leaked(*store_, *session_);
}

TEST_F(Groups, EveryFlippedBitIsFoundByEveryMember) {
  make_groups();
  std::byte* const group = object(8);
  const auto length = load<std::uint16_t>(group + offsetof(GroupHeader, length));
  for (std::size_t bit = 0; bit < (sizeof(GroupHeader) + length) * 8; ++bit) {
    const std::size_t byte = bit / 8;
    if (byte == offsetof(GroupHeader, members)) continue;
    // Those of the header, and some of the data's.
    if (byte >= sizeof(GroupHeader) + 64 && bit % 61 != 0) continue;
    const std::byte mask = static_cast<std::byte>(1u << bit % 8);
    group[byte] ^= mask;
    for (std::uint64_t slot = 8; slot < 12; ++slot) {
      ASSERT_TRUE(is_corrupt(slot)) << "bit " << bit << ", slot " << slot;
    }
    group[byte] ^= mask;
  }
  expect_pages(0, kSlots);
  // A whole page replaces what is damaged.
  group[100] ^= std::byte{1};
  put(9, page_of(9));
  EXPECT_EQ(read_page(*session_, 9), page_of(9));
  EXPECT_TRUE(is_corrupt(8));
}

TEST_F(Groups, DamageToAGroupsObjectCostsNoMemory) {
  constexpr std::uint64_t kFew = 2 * kGroupPages;
  for (std::size_t bit = 0; bit < (sizeof(GroupHeader) + 4) * 8; ++bit) {
    if (bit / 8 == offsetof(GroupHeader, members)) continue;
    open(grouping_store(kFew));
    make_groups();
    object(4)[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    session_->discard(0, kFew);
    ASSERT_EQ(store_->stats().mem_used_total, 0u) << bit;
  }
}

TEST_F(Groups, DamagedWordsAreFound) {
  make_groups();
  const SlotWord sound = word(21);
  for (unsigned bit = 0; bit < SlotWord::kKindShift; ++bit) {
    StoreInspector::set_word(*store_, 21, SlotWord(sound.bits() ^ std::uint64_t{1} << bit));
    EXPECT_TRUE(is_corrupt(21)) << bit;
  }
  // Another group's, of which it is no member.
  StoreInspector::set_word(*store_, 21, word(25));
  EXPECT_TRUE(is_corrupt(21));
  session_->discard(21, 1);
  EXPECT_EQ(members(25), kAllMembers);
  expect_pages(24, 28);
}

TEST_F(Groups, DamagedMembersCostNoOtherPage) {
  constexpr std::uint64_t kFew = 3 * kGroupPages;
  for (unsigned damaged = 0; damaged <= 0xFF; damaged += 17) {
    open(grouping_store(kFew));
    make_groups();
    members_of(object(4)).store(static_cast<std::uint8_t>(damaged));
    expect_pages(4, 8);
    for (std::uint64_t slot = 4; slot < 8; ++slot) {
      put(slot, random_page(slot));
      for (std::uint64_t other = slot + 1; other < 8; ++other) {
        ASSERT_EQ(read_page(*session_, other), page_of(other)) << damaged;
      }
    }
    expect_pages(0, 4);
    expect_pages(8, kFew);
  }
}

// Of the kinds that one flipped bit makes of a member's, those with an object of their own.
TEST_F(Groups, AMemberOfADamagedKindCostsNoOtherPage) {
  constexpr std::uint64_t kFew = 3 * kGroupPages;
  for (unsigned bit = SlotWord::kKindShift; bit < SlotWord::kKindShift + 4; ++bit) {
    for (std::uint64_t damaged = 4; damaged < 8; ++damaged) {
      for (const bool is_discarded : {false, true}) {
        open(grouping_store(kFew));
        make_groups();
        const SlotWord sound = word(damaged);
        StoreInspector::set_word(*store_, damaged,
                                 SlotWord(sound.bits() ^ std::uint64_t{1} << bit));
        EXPECT_TRUE(is_corrupt(damaged)) << bit;
        if (is_discarded) {
          session_->discard(damaged, 1);
        } else {
          put(damaged, page_of(damaged));
        }
        // In the memory that the group would have given back.
        for (std::uint64_t slot = 8; slot < kFew; ++slot) put(slot, page_of(slot));
        ASSERT_EQ(recompress().done, true);
        for (std::uint64_t slot = 0; slot < kFew; ++slot) {
          if (slot == damaged && is_discarded) continue;
          ASSERT_EQ(read_page(*session_, slot), page_of(slot)) << bit << ", " << damaged;
        }
      }
    }
  }
}

TEST_F(Groups, AMemberOfADamagedKindIsLeftBehindByCompaction) {
  constexpr std::uint64_t kMany = 1024;
  constexpr std::uint64_t kKept = 10 * kGroupPages;  // a group of so many slots stays
  // The first, whose slot the group's object names, and another.
  for (const std::uint64_t member : {0, 2}) {
    open(grouping_store(kMany));
    put_all();
    (void)recompress();
    ASSERT_TRUE(store_->settle(20'000));
    std::vector<std::pair<std::uint64_t, SlotWord>> damaged;  // slots, and their sound words
    for (std::uint64_t first = 0; first < kMany; first += kKept) {
      if (!word(first).grouped()) continue;
      const std::uint64_t slot = first + member;
      const std::uint64_t bit = SlotWord::kKindShift + 1 + first / kKept % 3;
      damaged.emplace_back(slot, word(slot));
      StoreInspector::set_word(*store_, slot,
                               SlotWord(word(slot).bits() ^ std::uint64_t{1} << bit));
    }
    ASSERT_GT(damaged.size(), kMany / kKept / 2);
    for (std::uint64_t slot = 0; slot < kMany; ++slot) {
      if (slot % kKept >= kGroupPages) session_->discard(slot, 1);
    }
    (void)store_->compact();
    unsigned moved = 0;
    for (const auto& [slot, sound] : damaged) {
#if !defined(__SANITIZE_THREAD__)  // compaction may go on, and write to what is taken for data
      EXPECT_TRUE(is_corrupt(slot));
#endif
      const SlotWord neighbour = word(slot ^ 1);
      EXPECT_TRUE(neighbour.grouped());
      moved += neighbour.location() != sound.location();
      put(slot, page_of(slot));
    }
    EXPECT_GT(moved, 0u);
    (void)store_->compact();
    for (std::uint64_t first = 0; first < kMany; first += kKept) {
      expect_pages(first, first + kGroupPages);
    }
  }
}

TEST_F(Groups, MakeRoomAtTheMemoryLimit) {
  put_all();
  store_->set_mem_limit(store_->stats().mem_used_total - kPageSize);
  ASSERT_EQ(session_->write(0, random_page(0).data()), StoreStatus::kOverLimit);
  EXPECT_EQ(recompress().pages_recompressed, kSlots);
  (void)store_->compact();
  EXPECT_EQ(session_->write(0, random_page(0).data()), StoreStatus::kOk);
  expect_pages(1, kSlots);
}

TEST_F(Groups, StayWholeWhereTheDeviceEndsOrIsResized) {
  StoreOptions options = grouping_store(30);
  options.device_bytes_max = kSlots * kPageSize;
  open(options);
  put_all();
  EXPECT_EQ(recompress().pages_recompressed, 30u);
  EXPECT_EQ(store_->stats().pages_grouped, 28u);
  session_->discard(26, 4);
  ASSERT_TRUE(store_->resize(26 * kPageSize));
  expect_pages(0, 26);
  EXPECT_EQ(members(24), member_bit(24) | member_bit(25));
  (void)store_->compact();
  ASSERT_TRUE(store_->resize(kSlots * kPageSize));
  expect_pages(0, 26);
  put_all();
  EXPECT_EQ(recompress().pages_recompressed, kSlots);
  EXPECT_EQ(store_->stats().pages_grouped, kSlots);
  expect_pages(0, kSlots);
  expect_nothing_leaked(*store_, *session_);
}

TEST_F(Groups, MembersAreWrittenBackByThemselves) {
  const BackingFile file(256);
  StoreOptions options = grouping_store(kSlots);
  options.backing = file.path();
  options.backing_bytes = 256 * kPageSize;
  open(options);
  make_groups();
  const auto result = store_->write_back({.pages_max = 3, .first_slot = 2});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->pages_written, 3u);
  for (std::uint64_t slot = 0; slot < 8; ++slot) {
    EXPECT_EQ(word(slot).written_back(), slot >= 2 && slot < 5) << slot;
  }
  EXPECT_EQ(members(0), member_bit(0) | member_bit(1));
  EXPECT_EQ(members(5), kAllMembers & ~member_bit(4));
  expect_pages(0, kSlots);
  ASSERT_TRUE(store_->write_back({}));
  EXPECT_EQ(store_->stats().pages_written_back, kSlots);
  EXPECT_EQ(store_->stats().mem_used_total, 0u);
  expect_pages(0, kSlots);
}

TEST(GroupOptions, AreRecompressionsAlone) {
  StoreOptions options = grouping_store(64);
  for (const char* spec : {"line,block=16384", "lz4:fast,block=16384", "lz4,block=8192"}) {
    options.recompress = spec;
    EXPECT_EQ(Store::create(options).error().code, EINVAL) << spec;
  }
  options.recompress = "lz4hc";
  options.codec = "lz4,block=16384";
  EXPECT_EQ(Store::create(options).error().code, EINVAL);
}

// Groups that another process has left, one of them with a bit too many.
TEST(GroupAdoption, MembersAreMadeAnewFromTheWords) {
  constexpr std::uint64_t kSlots = 64;
  const StoreOptions options = grouping_store(kSlots);
  const Memory kept = make_shared_memory(options);
  const auto page_of = [](std::uint64_t slot) { return kin_page(slot / kGroupPages, slot); };
  {
    const auto store = begin_store(options, kept);
    ASSERT_NE(store, nullptr);
    const auto session = make_session(*store);
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      ASSERT_EQ(session->write(slot, page_of(slot).data()), StoreStatus::kOk);
    }
    ASSERT_TRUE(store->recompress({}));
    ASSERT_EQ(store->stats().pages_grouped, kSlots);
    session->discard(1, 2);
    session->discard(4, 3);
    session->discard(9, 3);
    for (const std::uint64_t slot : {0u, 7u, 8u}) {
      members_of(StoreInspector::object(*store, slot)).store(kAllMembers);
    }
    // All are gone, and the object was not freed.
    const SlotWord last = StoreInspector::word(*store, 12);
    for (std::uint64_t slot = 12; slot < 16; ++slot) {
      StoreInspector::set_word(*store, slot, SlotWord());
    }
    members_of(StoreInspector::pool(*store).at(last.location())).store(0);
  }
  const auto store = begin_store(options, kept);
  ASSERT_NE(store, nullptr);
  const auto session = make_session(*store);
  EXPECT_EQ(store->stats().pages_grouped, kSlots - 12);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    const bool is_gone =
        slot == 1 || slot == 2 || (slot >= 4 && slot < 7) || (slot >= 9 && slot < 16);
    ASSERT_EQ(read_page(*session, slot), is_gone ? TestPage{} : page_of(slot)) << slot;
  }
  ASSERT_TRUE(store->settle(20'000));
  EXPECT_EQ(members_of(StoreInspector::object(*store, 0)).load(), member_bit(0) | member_bit(3));
  EXPECT_EQ(members_of(StoreInspector::object(*store, 7)).load(), member_bit(7));
  expect_nothing_leaked(*store, *session);
}

TEST(GroupsAtOnce, NoPageComesBackOrIsLost) {
  constexpr std::uint64_t kSlots = 48;
  StoreOptions options = grouping_store(kSlots);
  options.recompress = "lz4,block=16384";  // in less time, so that it meets with more
  options.reserve_bytes = 1 << 20;
  const auto store = make_store(options);
  std::atomic<std::uint64_t> grouped{0};
  // On a busy machine no four neighbours may be left alone for long enough.
  constexpr int kRoundsMax = 50;
  for (int round = 0; round < kRoundsMax && grouped == 0; ++round) {
    use_slots_while(*store, kSlots, [](std::uint64_t seed) { return kin_page(1, seed); },
                    {[&] {
                       (void)store->compact();
                       (void)store->mark_idle(0).has_value();
                     },
                     [&] {
                       EXPECT_TRUE(store->recompress({}));
                       grouped = std::max(grouped.load(), store->stats().pages_grouped);
                     }});
  }
  EXPECT_GT(grouped.load(), 0u);
}

// Also while they are being compressed. So few that nothing else changes their words.
TEST_F(Groups, AreMadeOfPagesThatBecomeOlder) {
  for (int round = 0; round < 20; ++round) {
    open(grouping_store(kSlots));
    put_all();
    std::thread ager([&] {
      for (unsigned age = 0; age < SlotWord::kAgeMax; ++age) {
        StoreInspector::state(*store_).ager.advance(1727, 1728);
        std::this_thread::sleep_for(std::chrono::microseconds(500));
      }
    });
    EXPECT_EQ(recompress().pages_recompressed, kSlots);
    ager.join();
    EXPECT_EQ(store_->stats().pages_grouped, kSlots);
    expect_pages(0, kSlots);
  }
}

}  // namespace
}  // namespace pleat::store
