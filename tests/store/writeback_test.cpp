// SPDX-License-Identifier: MIT OR Apache-2.0
// Writeback must move the pages that are meant, and no others, to the backing device and find each
// there again, whoever overwrites, discards or dies meanwhile.
#include "store/back_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <random>
#include <vector>

#include "store/adoption.h"
#include "store/backing_file.h"
#include "store/pages.h"
#include "store/slot_owners.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

constexpr std::uint64_t kBlocks = 512;

StoreOptions writing_store(std::uint64_t slots, const BackingFile& file,
                           std::uint64_t blocks = kBlocks) {
  StoreOptions options = small_store(slots);
  options.backing = file.path();
  options.backing_bytes = blocks * kPageSize;
  return options;
}

// Of four slots in a row one is same-filled, one incompressible, and two are in between.
bool is_same(std::uint64_t slot) { return slot % 4 == 0; }
bool is_raw(std::uint64_t slot) { return slot % 4 == 2; }
TestPage page_of(std::uint64_t seed) {
  if (is_same(seed)) return same_filled_page(seed * 0x0123'4567'89AB'CDEF);
  if (is_raw(seed)) return random_page(seed);
  return mixed_page(seed, seed % 3000);
}

class WritebackTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kSlots = 256;

  void SetUp() override {
    store_ = make_store(writing_store(kSlots, file_));
    session_ = make_session(*store_);
  }
  void put(std::uint64_t slot, const TestPage& page) {
    ASSERT_EQ(session_->write(slot, page.data()), StoreStatus::kOk);
  }
  void put_all() {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) put(slot, page_of(slot));
  }
  void expect_pages() {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      ASSERT_EQ(read_page(*session_, slot), page_of(slot)) << slot;
    }
  }
  WritebackResult write_back(const WritebackRequest& request) {
    const auto result = store_->write_back(request);
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : WritebackResult{};
  }
  SlotWord word(std::uint64_t slot) { return StoreInspector::word(*store_, slot); }
  BackingFile file_{kBlocks};
  std::unique_ptr<Store> store_;
  std::unique_ptr<Store::Session> session_;
};

TEST_F(WritebackTest, MovesPagesAndReadsThemWhereTheyAre) {
  put_all();
  const StoreStats before = store_->stats();
  EXPECT_EQ(before.backing_bytes, kBlocks * kPageSize);
  const WritebackResult result = write_back({});
  EXPECT_EQ(result.end, WritebackEnd::kDone);
  EXPECT_EQ(result.next_slot, kSlots);
  EXPECT_EQ(result.pages_written, kSlots / 4 * 3);
  EXPECT_EQ(result.bytes_freed, before.compr_data_size);
  const StoreStats after = store_->stats();
  EXPECT_EQ(after.pages_written_back, result.pages_written);
  EXPECT_EQ(after.backing_writes, result.blocks_written);
  EXPECT_EQ(after.backing_used, result.blocks_written);
  // Compressed, one after the other.
  EXPECT_LT(after.backing_used * kPageSize, before.compr_data_size * 110 / 100);
  EXPECT_EQ(after.backing_reads, 0u);
  EXPECT_EQ(after.compr_data_size, 0u);
  EXPECT_EQ(after.huge_pages, 0u);
  EXPECT_EQ(after.huge_pages_since, before.huge_pages_since);
  EXPECT_EQ(after.orig_data_size, before.orig_data_size);
  EXPECT_EQ(after.same_pages, before.same_pages);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    ASSERT_EQ(word(slot).written_back(), !is_same(slot)) << slot;
  }
  expect_pages();
  expect_pages();
  EXPECT_GE(store_->stats().backing_reads, 2 * result.pages_written);
  EXPECT_EQ(store_->stats().pages_written_back, result.pages_written);
  // They have no age, and are not written a second time.
  EXPECT_EQ(store_->mark_idle(0).value(), 0u);
  EXPECT_EQ(write_back({}).pages_written, 0u);
  expect_pages();
}

TEST_F(WritebackTest, OverwritesAndDiscardsFreeBlocks) {
  put_all();
  (void)write_back({});
  for (std::uint64_t slot = 0; slot < kSlots / 2; ++slot) put(slot, page_of(slot));
  EXPECT_EQ(store_->stats().pages_written_back, kSlots / 8 * 3);
  expect_pages();
  session_->discard(kSlots / 2, kSlots / 2);
  EXPECT_EQ(store_->stats().pages_written_back, 0u);
  EXPECT_EQ(store_->stats().backing_used, 0u);
  // And they are used anew.
  for (int round = 0; round < 20; ++round) {
    put_all();
    ASSERT_EQ(write_back({}).end, WritebackEnd::kDone);
    expect_pages();
  }
  expect_nothing_leaked(*store_, *session_);
  EXPECT_EQ(store_->stats().backing_used, 0u);
}

TEST_F(WritebackTest, APartOfAPageIsWrittenIntoItsOldBytes) {
  put_all();
  (void)write_back({});
  const TestPage bytes = random_page(77);
  for (std::uint64_t slot = 0; slot < 8; ++slot) {
    ASSERT_EQ(session_->write_part(slot, 1024, bytes.data(), 512), StoreStatus::kOk);
    TestPage expected = page_of(slot);
    std::memcpy(expected.data() + 1024, bytes.data(), 512);
    ASSERT_EQ(read_page(*session_, slot), expected);
    ASSERT_FALSE(word(slot).written_back());
    put(slot, page_of(slot));
  }
  expect_pages();
}

TEST_F(WritebackTest, TakesThePagesThatAreMeant) {
  put_all();
  EXPECT_EQ(write_back({.only_idle = true}).pages_written, 0u);
  ASSERT_TRUE(store_->mark_idle(0));
  for (std::uint64_t slot = 0; slot < kSlots / 2; ++slot) (void)read_page(*session_, slot);
  WritebackResult result = write_back({.only_idle = true, .only_huge = true});
  EXPECT_EQ(result.pages_written, kSlots / 8);
  result = write_back({.only_idle = true});
  EXPECT_EQ(result.pages_written, kSlots / 4);
  // Without a second codec all raw pages are incompressible.
  result = write_back({.only_incompressible = true, .end_slot = kSlots / 4});
  EXPECT_EQ(result.pages_written, kSlots / 16);
  result = write_back({.first_slot = kSlots / 4, .end_slot = kSlots / 4 + 8});
  EXPECT_EQ(result.pages_written, 6u);
  EXPECT_EQ(result.next_slot, kSlots / 4 + 8);
  for (std::uint64_t slot = 0; slot < kSlots / 2; ++slot) {
    const bool is_early = slot < kSlots / 4;
    const bool is_meant = is_early ? is_raw(slot) : slot < kSlots / 4 + 8 && !is_same(slot);
    ASSERT_EQ(word(slot).written_back(), is_meant) << slot;
  }
  expect_pages();
}

TEST_F(WritebackTest, IncompressibleIsWhatTheSecondCodecCouldNotHelp) {
  BackingFile file(kBlocks);
  StoreOptions options = writing_store(8, file);
  options.recompress = "lz4hc";
  session_.reset();
  store_ = make_store(options);
  session_ = make_session(*store_);
  put(2, random_page(2));
  EXPECT_EQ(write_back({.only_incompressible = true}).pages_written, 0u);
  ASSERT_TRUE(store_->recompress({}));
  EXPECT_EQ(write_back({.only_incompressible = true}).pages_written, 1u);
  EXPECT_EQ(read_page(*session_, 2), random_page(2));
  // What is written back is not recompressed.
  const auto result = store_->recompress({});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->pages_recompressed + result->pages_kept, 0u);
}

TEST_F(WritebackTest, GoesOnWhereItWasCutShort) {
  put_all();
  WritebackRequest request{.pages_max = 5};
  std::uint64_t pages = 0;
  int passes = 0;
  for (WritebackEnd end = WritebackEnd::kPaused; end == WritebackEnd::kPaused; ++passes) {
    ASSERT_LT(passes, 100);
    const WritebackResult result = write_back(request);
    EXPECT_LE(result.pages_written, 5u);
    pages += result.pages_written;
    request.first_slot = result.next_slot;
    end = result.end;
  }
  EXPECT_EQ(pages, kSlots / 4 * 3);
  EXPECT_GE(passes, static_cast<int>(pages / 5));
  put_all();
  const WritebackResult short_one = write_back({.duration_ns = 1});
  EXPECT_EQ(short_one.end, WritebackEnd::kPaused);
  EXPECT_EQ(short_one.pages_written, 1u);
  expect_pages();
}

TEST_F(WritebackTest, WritesNoMoreThanItsLimit) {
  put_all();
  EXPECT_FALSE(store_->stats().writeback_limit);
  store_->set_writeback_limit(10 * kPageSize + 100);
  EXPECT_EQ(store_->stats().writeback_limit, 10 * kPageSize);
  WritebackResult result = write_back({});
  EXPECT_EQ(result.end, WritebackEnd::kLimit);
  EXPECT_EQ(result.blocks_written, 10u);
  EXPECT_GE(result.pages_written, 9u);
  EXPECT_EQ(store_->stats().writeback_limit, 0u);
  EXPECT_EQ(write_back({}).blocks_written, 0u);
  // There is nothing that it would keep from being written.
  EXPECT_EQ(write_back({.only_idle = true}).end, WritebackEnd::kDone);
  // An object may need two blocks.
  store_->set_writeback_limit(kPageSize);
  EXPECT_EQ(write_back({}).end, WritebackEnd::kLimit);
  store_->set_writeback_limit(std::nullopt);
  result = write_back({.first_slot = result.next_slot});
  EXPECT_EQ(result.end, WritebackEnd::kDone);
  EXPECT_EQ(store_->stats().pages_written_back, kSlots / 4 * 3);
  expect_pages();
}

TEST_F(WritebackTest, AFullDeviceLeavesPagesInMemory) {
  constexpr std::uint64_t kFew = 9;
  BackingFile file(kFew);
  session_.reset();
  store_ = make_store(writing_store(kSlots, file, kFew));
  session_ = make_session(*store_);
  put_all();
  const WritebackResult result = write_back({});
  EXPECT_EQ(result.end, WritebackEnd::kFull);
  EXPECT_GE(result.blocks_written, kFew - 2);
  EXPECT_LT(result.next_slot, kSlots);
  expect_pages();
  EXPECT_EQ(write_back({}).end, WritebackEnd::kFull);
  session_->discard(0, result.next_slot);
  EXPECT_EQ(store_->stats().backing_used, 0u);
  EXPECT_GT(write_back({}).pages_written, 0u);
  put_all();
  expect_pages();
}

TEST_F(WritebackTest, AFailedWriteLeavesPagesInMemory) {
  put_all();
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto old = signal(SIGXFSZ, SIG_IGN);
  store_->set_writeback_limit(100 * kPageSize);
  const rlimit small{2 * kPageSize, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const WritebackResult result = write_back({});
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, old);
  EXPECT_EQ(result.end, WritebackEnd::kFailed);
  EXPECT_EQ(result.error, EFBIG);
  EXPECT_EQ(result.pages_written, 0u);
  EXPECT_EQ(store_->stats().backing_failures, 1u);
  EXPECT_EQ(store_->stats().writeback_limit, 100 * kPageSize);
  store_->set_writeback_limit(std::nullopt);
  EXPECT_EQ(store_->stats().backing_used, 0u);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) ASSERT_EQ(word(slot).age(), 0u) << slot;
  expect_pages();
  EXPECT_EQ(write_back({}).end, WritebackEnd::kDone);
  expect_pages();
}

TEST_F(WritebackTest, WhatCannotBeReadFailsAloneAndIsCounted) {
  put_all();
  (void)write_back({.end_slot = kSlots / 2});
  file_.resize(1);
  TestPage page;
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    if (!word(slot).written_back()) continue;
    ASSERT_EQ(session_->read(slot, page.data()), StoreStatus::kBackingFailed);
    ASSERT_EQ(page, TestPage{});
    ASSERT_EQ(session_->write_part(slot, 0, page.data(), 512), StoreStatus::kBackingFailed);
    put(slot, page_of(slot));
  }
  expect_pages();
  const StoreStats stats = store_->stats();
  EXPECT_EQ(stats.backing_failures, kSlots / 8 * 3 * 2);
  EXPECT_EQ(stats.failed_reads, kSlots / 8 * 3);
  EXPECT_EQ(stats.failed_writes, kSlots / 8 * 3);
  EXPECT_EQ(stats.corrupt_pages, 0u);
  EXPECT_EQ(to_errno(StoreStatus::kBackingFailed), -EIO);
}

TEST_F(WritebackTest, AFlippedBitIsFoundWhereverItIs) {
  put_all();
  (void)write_back({});
  std::mt19937_64 random(1);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    if (is_same(slot)) continue;
    const SlotWord at = word(slot);
    file_.flip_bit(at.location() * kBackingUnit + random() % (sizeof(ObjectHeader) + at.length()));
    TestPage page;
    ASSERT_EQ(session_->read(slot, page.data()), StoreStatus::kCorrupt) << slot;
    ASSERT_EQ(page, TestPage{});
    put(slot, page_of(slot));
  }
  EXPECT_EQ(store_->stats().corrupt_pages, kSlots / 4 * 3);
  expect_pages();
}

TEST_F(WritebackTest, ADamagedPageIsNotWritten) {
  put_all();
  StoreInspector::object(*store_, 1)[sizeof(ObjectHeader)] ^= std::byte{1};
  StoreInspector::object(*store_, 2)[100] ^= std::byte{1};
  EXPECT_EQ(write_back({}).pages_written, kSlots / 4 * 3 - 2);
  TestPage page;
  EXPECT_EQ(session_->read(1, page.data()), StoreStatus::kCorrupt);
  EXPECT_EQ(session_->read(2, page.data()), StoreStatus::kCorrupt);
}

// Words that were damaged lead anywhere, and must not be read beyond the device.
TEST_F(WritebackTest, ADamagedWordFailsItsPage) {
  put_all();
  (void)write_back({});
  std::mt19937_64 random(2);
  TestPage page;
  for (int round = 0; round < 2000; ++round) {
    const SlotWord damaged = SlotWord(random() | SlotWord::kKindMask).without_lock();
    ASSERT_TRUE(damaged.written_back());
    StoreInspector::set_word(*store_, 0, damaged);
    ASSERT_NE(session_->read(0, page.data()), StoreStatus::kOk);
  }
  put(0, page_of(0));
  expect_pages();
}

TEST(WritebackTakeOver, ASuccessorFindsEveryPageAndCountsAnew) {
  constexpr std::uint64_t kSlots = 128;
  BackingFile file(kBlocks);
  const StoreOptions options = writing_store(kSlots, file);
  const Memory kept = make_shared_memory(options);
  StoreStats before;
  {
    const auto store = begin_store(options, kept);
    ASSERT_TRUE(store);
    const auto session = make_session(*store);
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      ASSERT_EQ(session->write(slot, page_of(slot).data()), StoreStatus::kOk);
    }
    ASSERT_TRUE(store->write_back({.end_slot = kSlots / 2}));
    session->discard(0, 16);
    store->set_writeback_limit(100 * kPageSize);
    before = store->stats();
  }
  const auto store = begin_store(options, kept);
  ASSERT_TRUE(store);
  EXPECT_TRUE(store->backing_state());
  const StoreStats after = store->stats();
  EXPECT_EQ(after.backing_used, before.backing_used);
  EXPECT_EQ(after.pages_written_back, before.pages_written_back);
  EXPECT_EQ(after.backing_writes, before.backing_writes);
  EXPECT_EQ(after.writeback_limit, 100 * kPageSize);
  const auto session = make_session(*store);
  for (std::uint64_t slot = 16; slot < kSlots; ++slot) {
    ASSERT_EQ(read_page(*session, slot), page_of(slot)) << slot;
  }
  ASSERT_TRUE(store->write_back({}));
  for (std::uint64_t slot = 16; slot < kSlots; ++slot) {
    ASSERT_EQ(read_page(*session, slot), page_of(slot)) << slot;
  }
  expect_nothing_leaked(*store, *session);
  EXPECT_EQ(store->stats().backing_used, 0u);
}

TEST(WritebackTakeOver, WithoutItsDeviceTheOtherPagesAreThere) {
  constexpr std::uint64_t kSlots = 64;
  auto file = std::make_unique<BackingFile>(kBlocks);
  StoreOptions options = writing_store(kSlots, *file);
  const Memory kept = make_shared_memory(options);
  {
    const auto store = begin_store(options, kept);
    const auto session = make_session(*store);
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      ASSERT_EQ(session->write(slot, page_of(slot).data()), StoreStatus::kOk);
    }
    ASSERT_TRUE(store->write_back({.end_slot = kSlots / 2}));
  }
  const BackingFile other(kBlocks);
  for (const std::string& path : {other.path(), std::string("is-not-there")}) {
    options.backing = path;
    const auto store = begin_store(options, kept);
    ASSERT_TRUE(store);
    EXPECT_FALSE(store->backing_state());
    EXPECT_FALSE(store->write_back({}));
    const auto session = make_session(*store);
    TestPage page;
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      if (StoreInspector::word(*store, slot).written_back()) {
        ASSERT_EQ(session->read(slot, page.data()), StoreStatus::kBackingFailed);
      } else {
        ASSERT_EQ(read_page(*session, slot), page_of(slot)) << slot;
      }
    }
    EXPECT_EQ(store->stats().pages_written_back, kSlots / 8 * 3);
  }
  // Back in its place it serves again.
  options.backing = file->path();
  const auto store = begin_store(options, kept);
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    ASSERT_EQ(read_page(*session, slot), page_of(slot)) << slot;
  }
}

TEST(WritebackDevice, MustBeOneAndNobodyElses) {
  const BackingFile file(kBlocks);
  EXPECT_EQ(Store::backing_bytes(file.path()).value(), kBlocks * kPageSize);
  EXPECT_EQ(Store::backing_bytes("is-not-there").error().code, ENOENT);
  EXPECT_EQ(Store::backing_bytes("/dev/full").error().code, ENOTBLK);
  EXPECT_EQ(Store::backing_bytes(BackingFile(2).path()).error().code, EINVAL);
  const auto store = make_store(writing_store(64, file));
  EXPECT_EQ(Store::create(writing_store(64, file)).error().code, EBUSY);
  EXPECT_EQ(make_store(small_store(64))->write_back({}).error().code, EOPNOTSUPP);
}

TEST(WritebackAtOnce, NoPageComesBackOrIsLost) {
  constexpr std::uint64_t kSlots = 48;
  // So few that they are used again and again.
  constexpr std::uint64_t kFew = 24;
  const BackingFile file(kFew);
  StoreOptions options = writing_store(kSlots, file, kFew);
  options.reserve_bytes = 1 << 20;
  const auto store = make_store(options);
  use_slots_while(*store, kSlots, page_of,
                  {[&] {
                     (void)store->compact();
                     (void)store->mark_idle(0).has_value();
                   },
                   [&] { EXPECT_TRUE(store->write_back({})); }});
  EXPECT_GT(store->stats().backing_writes, 100u);
  EXPECT_EQ(store->stats().backing_failures, 0u);
  EXPECT_EQ(store->stats().backing_used, 0u);
}

}  // namespace
}  // namespace pleat::store
