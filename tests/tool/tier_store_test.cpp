// SPDX-License-Identifier: MIT OR Apache-2.0
// A store that writes back to a GPU's memory must find every page there again, and lose no other
// page where that memory goes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "device/transport.h"
#include "store/adoption.h"
#include "store/backing.h"
#include "store/pages.h"
#include "store/store_inspector.h"
#include "tool/pleat_program.h"
#include "tool/tier_process.h"

namespace pleat::tool {
namespace {

using store::begin_store;
using store::kBackingUnit;
using store::make_session;
using store::make_store;
using store::ObjectHeader;
using store::read_page;
using store::SlotWord;
using store::Store;
using store::StoreInspector;
using store::StoreOptions;
using store::StoreStatus;
using store::TestPage;
using store::WritebackEnd;
using store::WritebackResult;
using testing::HasSubstr;

constexpr std::uint64_t kSlots = 256;

// No page of a test is another one's.
TestPage page_of(std::uint64_t seed) {
  return seed % 2 == 0 ? store::random_page(seed) : store::mixed_page(seed, seed % 3000);
}

class TierStore : public testing::Test {
 protected:
  TierStore() : tier_(std::in_place, mount_.path(), "4M") {
    options_ = store::small_store(kSlots);
    options_.backing = tier_->path();
    options_.backing_bytes = std::uint64_t{4} << 20;
  }
  static void put(Store::Session& session, std::uint64_t slot, const TestPage& page) {
    ASSERT_EQ(session.write(slot, page.data()), StoreStatus::kOk);
  }
  static void put_all(Store::Session& session) {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) put(session, slot, page_of(slot));
  }
  static void expect_pages(Store::Session& session) {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      ASSERT_EQ(read_page(session, slot), page_of(slot)) << slot;
    }
  }
  static WritebackResult write_back(Store& store, const store::WritebackRequest& request) {
    const auto result = store.write_back(request);
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : WritebackResult{};
  }
  // Leaves a store in the memory with all pages, of which the first half is written back.
  void use_and_leave(const store::Memory& kept) const {
    const auto store = begin_store(options_, kept);
    ASSERT_TRUE(store);
    const auto session = make_session(*store);
    put_all(*session);
    (void)write_back(*store, {.end_slot = kSlots / 2});
  }
  // Pages that are written back cannot be read, and all others can.
  static void expect_others(Store& store, Store::Session& session, std::uint64_t lost) {
    std::uint64_t failed = 0;
    TestPage page;
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      if (StoreInspector::word(store, slot).written_back()) {
        page.fill(std::byte{});
        ASSERT_EQ(session.read(slot, page.data()), StoreStatus::kBackingFailed);
        ASSERT_EQ(page, TestPage{}) << "no bytes of another page";
        ++failed;
      } else {
        ASSERT_EQ(read_page(session, slot), page_of(slot)) << slot;
      }
    }
    EXPECT_EQ(failed, lost);
  }
  MountPoint mount_;
  std::optional<TierProcess> tier_;
  StoreOptions options_;
};

TEST_F(TierStore, PagesComeBackAreOverwrittenAndDiscarded) {
  const auto store = make_store(options_);
  ASSERT_TRUE(store);
  const auto session = make_session(*store);
  for (int round = 0; round < 10; ++round) {
    put_all(*session);
    const WritebackResult result = write_back(*store, {});
    ASSERT_EQ(result.end, WritebackEnd::kDone);
    ASSERT_EQ(result.pages_written, kSlots);
    expect_pages(*session);
  }
  EXPECT_GT(store->stats().backing_reads, kSlots);
  for (std::uint64_t slot = 0; slot < kSlots / 2; ++slot) put(*session, slot, page_of(slot));
  EXPECT_EQ(store->stats().pages_written_back, kSlots / 2);
  expect_pages(*session);
  store::expect_nothing_leaked(*store, *session);
  EXPECT_EQ(store->stats().backing_used, 0u);
}

TEST_F(TierStore, IsOneStoresAlone) {
  const auto store = make_store(options_);
  ASSERT_TRUE(store);
  EXPECT_EQ(Store::create(options_).error().code, EBUSY);
}

TEST_F(TierStore, ASuccessorFindsEveryPage) {
  const store::Memory kept = store::make_shared_memory(options_);
  ASSERT_NO_FATAL_FAILURE(use_and_leave(kept));
  const auto store = begin_store(options_, kept);
  ASSERT_TRUE(store);
  EXPECT_TRUE(store->backing_state());
  const auto session = make_session(*store);
  expect_pages(*session);
  EXPECT_EQ(write_back(*store, {}).pages_written, kSlots / 2);
  expect_pages(*session);
}

TEST_F(TierStore, WhenTheTierIsKilledItsPagesFailAndNoOthers) {
  const auto store = make_store(options_);
  ASSERT_TRUE(store);
  const auto session = make_session(*store);
  put_all(*session);
  ASSERT_EQ(write_back(*store, {.end_slot = kSlots / 2}).pages_written, kSlots / 2);
  tier_->kill_now();
  expect_others(*store, *session, kSlots / 2);
  EXPECT_EQ(store->stats().corrupt_pages, 0u);
  const WritebackResult result = write_back(*store, {});
  EXPECT_EQ(result.end, WritebackEnd::kFailed);
  EXPECT_NE(result.error, 0);
  EXPECT_EQ(result.pages_written, 0u);
  expect_others(*store, *session, kSlots / 2);
  put_all(*session);
  expect_pages(*session);
}

TEST_F(TierStore, ANewTierInItsPlaceIsNotTakenForIt) {
  const store::Memory kept = store::make_shared_memory(options_);
  ASSERT_NO_FATAL_FAILURE(use_and_leave(kept));
  const auto expect_lost = [&] {
    const auto store = begin_store(options_, kept);
    ASSERT_TRUE(store);
    EXPECT_FALSE(store->backing_state());
    EXPECT_FALSE(store->write_back({}));
    const auto session = make_session(*store);
    expect_others(*store, *session, kSlots / 2);
  };
  tier_->kill_now();
  expect_lost();
  ASSERT_EQ(umount2(mount_.path().c_str(), 0), 0);
  tier_.emplace(mount_.path(), "4M");
  expect_lost();
}

TEST_F(TierStore, AFlippedBitIsFoundWhereverItIs) {
  const auto store = make_store(options_);
  ASSERT_TRUE(store);
  const auto session = make_session(*store);
  put_all(*session);
  (void)write_back(*store, {});
  const UniqueFd file(open(tier_->path().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(file);
  std::mt19937_64 random(1);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    const SlotWord at = StoreInspector::word(*store, slot);
    const auto offset = static_cast<off_t>(at.location() * kBackingUnit +
                                           random() % (sizeof(ObjectHeader) + at.length()));
    char byte = 0;
    ASSERT_EQ(pread(file.get(), &byte, 1, offset), 1);
    byte ^= static_cast<char>(1 << random() % 8);
    ASSERT_EQ(pwrite(file.get(), &byte, 1, offset), 1);
    TestPage page{};
    ASSERT_EQ(session->read(slot, page.data()), StoreStatus::kCorrupt) << slot;
    ASSERT_EQ(page, TestPage{});
    put(*session, slot, page_of(slot));
  }
  expect_pages(*session);
}

// All of it as a user does it, over the loop transport.
TEST_F(TierStore, ADeviceWritesBackToItAndKeepsIt) {
  if (const auto there = device::probe_loop(); !there) GTEST_SKIP() << there.error().message;
  std::string runtime = testing::TempDir() + "/pleat-tier-run-XXXXXX";
  ASSERT_NE(mkdtemp(runtime.data()), nullptr);
  setenv("PLEAT_RUNTIME_DIR", runtime.c_str(), 1);
  const std::string name = "tier" + std::to_string(getpid());
  const ProgramRun created = run_pleat("create " + name + " --size 16M --transport loop " +
                                       "--writeback-device " + tier_->path());
  ASSERT_EQ(created.exit_code, 0) << created.errors;
  const std::string path = created.output.substr(0, created.output.find('\n'));

  constexpr std::uint64_t kPages = 512;
  const store::BlockBuffer block(1);
  UniqueFd device(open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  std::uint64_t bad = 0;
  for (std::uint64_t slot = 0; slot < kPages; ++slot) {
    std::memcpy(block.data(), page_of(slot).data(), kPageSize);
    const auto offset = static_cast<off_t>(slot * kPageSize);
    if (pwrite(device.get(), block.data(), kPageSize, offset) != ssize_t{kPageSize}) ++bad;
  }
  EXPECT_EQ(bad, 0u);
  const ProgramRun written =
      run_pleat("writeback " + name + " --pages 0-" + std::to_string(kPages - 1));
  EXPECT_THAT(written.output, HasSubstr(std::to_string(kPages) + " pages written back"))
      << written.errors;
  for (std::uint64_t slot = 0; slot < kPages; ++slot) {
    std::memset(block.data(), 0, kPageSize);
    const auto offset = static_cast<off_t>(slot * kPageSize);
    if (pread(device.get(), block.data(), kPageSize, offset) != ssize_t{kPageSize} ||
        std::memcmp(block.data(), page_of(slot).data(), kPageSize) != 0) {
      ++bad;
    }
  }
  EXPECT_EQ(bad, 0u);
  tier_->signal(SIGTERM);
  EXPECT_TRUE(tier_->says("is in use")) << tier_->said();
  device.reset();
  const ProgramRun removed = run_pleat("remove " + name);
  EXPECT_EQ(removed.exit_code, 0) << removed.errors;
  unsetenv("PLEAT_RUNTIME_DIR");
  std::filesystem::remove_all(runtime);
  tier_->signal(SIGTERM);
  EXPECT_EQ(tier_->wait(), 0) << tier_->said();
}

}  // namespace
}  // namespace pleat::tool
