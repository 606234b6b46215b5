// SPDX-License-Identifier: MIT OR Apache-2.0
// The store against a map of pages under random operations: one thread, threads on slots of their
// own that share the pool, and threads on the same slots. Each run prints its seed; the environment
// variable PLEAT_TEST_SEED repeats it.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "repetitions.h"
#include "store/compacting_thread.h"
#include "store/stamped_page.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* const given = std::getenv("PLEAT_TEST_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  }();
  std::cout << "PLEAT_TEST_SEED=" << seed << '\n';
  return seed;
}

Shape random_shape(std::mt19937_64& random) { return static_cast<Shape>(1 + random() % 4); }

// One thread's slots, `first`, `first + stride`, ..., and what they ought to hold.
class ModelledSlots {
 public:
  ModelledSlots(Store& store, unsigned writer, std::uint64_t stride, std::uint64_t seed)
      : store_(store),
        session_(make_session(store)),
        codec_(std::move(*codec::PageCodec::open("lz4", *test_kernels()))),
        writer_(writer),
        stride_(stride),
        random_(seed + writer) {}

  void run(unsigned steps) {
    for (unsigned step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      const std::uint64_t slot = random_slot();
      switch (random_() % 8) {
        case 0:
        case 1:
        case 2:
          write(slot);
          break;
        case 3:
          write_part(slot);
          break;
        case 4:
          if (random_() % 4 == 0) discard(slot);
          break;
        default:
          check(slot);
      }
    }
    for (std::uint64_t slot = writer_; slot < store_.slots(); slot += stride_) check(slot);
  }

  // What these slots contribute.
  void add_expected(StoreStats& stats) {
    for (const auto& [slot, page] : pages_) {
      stats.orig_data_size += kPageSize;
      std::uint64_t pattern = 0;
      TestPage out;
      if (test_kernels()->same_filled(page.data(), &pattern)) {
        ++stats.same_pages;
      } else if (const std::size_t size =
                     codec_.compress(page.data(), out.data(), kCompressedBytesMax)) {
        stats.compr_data_size += size;
      } else {
        ++stats.huge_pages;
        stats.compr_data_size += kPageSize;
      }
    }
    stats.notify_free += discards_;
    stats.failed_writes += failures_;
    stats.no_reserve_writes += failures_;
  }

 private:
  std::uint64_t random_slot() {
    const std::uint64_t mine = (store_.slots() - writer_ + stride_ - 1) / stride_;
    return writer_ + random_() % mine * stride_;
  }
  const TestPage& expected(std::uint64_t slot) const {
    static const TestPage kZeros{};
    const auto page = pages_.find(slot);
    return page == pages_.end() ? kZeros : page->second;
  }
  void write(std::uint64_t slot) {
    const TestPage page = stamped_page(make_stamp(writer_, ++sequence_, random_shape(random_)));
    if (succeeded(session_->write(slot, page.data()))) pages_[slot] = page;
  }
  void write_part(std::uint64_t slot) {
    const std::size_t first = random_() % 8;
    const std::size_t count = 1 + random_() % (8 - first);
    TestPage page = expected(slot);
    stamp_sectors(page.data() + first * kSectorSize, count,
                  make_stamp(writer_, ++sequence_, random_shape(random_)));
    if (succeeded(session_->write_part(slot, first * kSectorSize, page.data() + first * kSectorSize,
                                       count * kSectorSize))) {
      pages_[slot] = page;
    }
  }
  void discard(std::uint64_t slot) {
    // Only a thread that has all the slots may discard several.
    const std::uint64_t count =
        stride_ == 1 ? std::min<std::uint64_t>(random_() % 32, store_.slots() - slot) : 1;
    session_->discard(slot, count);
    discards_ += count;
    for (std::uint64_t i = slot; i < slot + count; ++i) pages_.erase(i);
  }
  void check(std::uint64_t slot) {
    TestPage page;
    ASSERT_EQ(session_->read(slot, page.data()), StoreStatus::kOk) << "slot " << slot;
    ASSERT_EQ(page, expected(slot)) << "slot " << slot;
  }
  bool succeeded(StoreStatus status) {
    if (status == StoreStatus::kOk) return true;
    EXPECT_EQ(status, StoreStatus::kNoReserve);
    ++failures_;
    EXPECT_TRUE(store_.settle(20'000));
    return false;
  }

  Store& store_;
  std::unique_ptr<Store::Session> session_;
  codec::PageCodec codec_;
  const unsigned writer_;
  const std::uint64_t stride_;
  std::mt19937_64 random_;
  std::map<std::uint64_t, TestPage> pages_;
  std::uint64_t sequence_ = 0;
  std::uint64_t discards_ = 0;
  std::uint64_t failures_ = 0;
};

void expect_stats(const StoreStats& actual, const StoreStats& expected) {
  EXPECT_EQ(actual.orig_data_size, expected.orig_data_size);
  EXPECT_EQ(actual.compr_data_size, expected.compr_data_size);
  EXPECT_EQ(actual.same_pages, expected.same_pages);
  EXPECT_EQ(actual.huge_pages, expected.huge_pages);
  EXPECT_EQ(actual.notify_free, expected.notify_free);
  EXPECT_EQ(actual.failed_writes, expected.failed_writes);
  EXPECT_EQ(actual.no_reserve_writes, expected.no_reserve_writes);
  EXPECT_EQ(actual.failed_reads, 0u);
  EXPECT_EQ(actual.corrupt_pages, 0u);
}

struct Size {
  unsigned threads;
  std::uint64_t slots;
  unsigned steps;
};

class OwnSlots : public testing::TestWithParam<Size> {};

TEST_P(OwnSlots, AgreeWithTheMapAndTheCountersWithTheSum) {
  // Not a structured binding: clang-14 does not capture those.
  const unsigned threads = GetParam().threads;
  const std::uint64_t slots = GetParam().slots;
  const unsigned steps = test::repetitions(GetParam().steps);
  const std::uint64_t seed = test_seed();
  StoreOptions options = small_store(slots);
  options.reserve_bytes = 1 << 20;  // small, so that memory comes and goes all the time
  const auto store = make_store(options);
  std::vector<std::unique_ptr<ModelledSlots>> models;
  for (unsigned i = 0; i < threads; ++i) {
    models.push_back(std::make_unique<ModelledSlots>(*store, i, threads, seed));
  }
  std::atomic<bool> stop{false};
  std::thread compacting([&] {
    while (!stop) (void)store->compact();
  });
  std::vector<std::thread> running;
  for (const auto& model : models) running.emplace_back([&] { model->run(steps); });
  for (std::thread& thread : running) thread.join();
  stop = true;
  compacting.join();
  StoreStats expected;
  for (const auto& model : models) model->add_expected(expected);
  expect_stats(store->stats(), expected);
  models.clear();
  make_session(*store)->discard(0, slots);
  EXPECT_TRUE(store->settle(20'000));
  const StoreStats empty = store->stats();
  EXPECT_EQ(empty.orig_data_size, 0u);
  EXPECT_EQ(empty.compr_data_size, 0u);
  EXPECT_EQ(empty.same_pages, 0u);
  EXPECT_EQ(empty.huge_pages, 0u);
  EXPECT_EQ(empty.mem_used_total, 0u);
}

INSTANTIATE_TEST_SUITE_P(Sizes, OwnSlots,
                         testing::Values(Size{1, 1, 4000}, Size{1, 40, 12'000},
                                         Size{1, 4000, 30'000}, Size{2, 64, 8000},
                                         Size{4, 2000, 8000}),
                         [](const auto& size) {
                           return std::to_string(size.param.threads) + "_threads_" +
                                  std::to_string(size.param.slots) + "_slots";
                         });

// All operations by all threads on the same slots. A page may then hold sectors of several writers,
// but each sector is one writer's, and that writer really wrote it there.
TEST(SameSlots, NoSectorIsTornOrInvented) {
  constexpr unsigned kThreads = 4;
  constexpr std::uint64_t kSlots = 3;
  constexpr unsigned kSteps = test::repetitions(6000);
  const std::uint64_t seed = test_seed();
  StoreOptions options = small_store(kSlots + 60);
  options.reserve_bytes = 1 << 20;
  const auto store = make_store(options);
  CompactingThread compacting(*store, {kSlots, kSlots + 60}, seed);
  std::array<std::atomic<std::uint64_t>, kThreads> last_sequence{};
  std::atomic<std::uint64_t> bad{0};
  const auto work = [&](unsigned writer) {
    const auto session = make_session(*store);
    std::mt19937_64 random(seed + writer);
    TestPage page;
    for (unsigned step = 0; step < kSteps; ++step) {
      const std::uint64_t slot = random() % kSlots;
      const Stamp stamp =
          make_stamp(writer, static_cast<std::uint64_t>(step) + 1, random_shape(random));
      switch (random() % 8) {
        case 0:
        case 1:
          last_sequence[writer].store(static_cast<std::uint64_t>(step) + 1);
          page = stamped_page(stamp);
          (void)session->write(slot, page.data());
          break;
        case 2:
        case 3:
          last_sequence[writer].store(static_cast<std::uint64_t>(step) + 1);
          stamp_sectors(page.data(), 3, stamp);
          (void)session->write_part(slot, random() % 6 * kSectorSize, page.data(), 3 * kSectorSize);
          break;
        case 4:
          if (random() % 4 == 0) session->discard(slot, 1);
          break;
        default:
          if (session->read(slot, page.data()) != StoreStatus::kOk) ++bad;
          for (std::size_t at = 0; at < kPageSize; at += kSectorSize) {
            const Stamp found = stamp_of(page.data() + at);
            const bool plausible =
                found == 0 || (found >> 48 < kThreads &&
                               (found >> 8 & 0xFF'FFFF'FFFF) <= last_sequence[found >> 48].load());
            if (!plausible || !sector_is_whole(page.data() + at)) ++bad;
          }
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(bad.load(), 0u);
  compacting.stop();
  EXPECT_TRUE(store->settle(20'000));
  EXPECT_EQ(store->stats().failed_reads, 0u);
  make_session(*store)->discard(0, kSlots);
  EXPECT_EQ(store->stats().orig_data_size, 0u);
  EXPECT_EQ(store->stats().mem_used_total, 0u);
}

// Each thread owns one sector of one page and counts in it: with a lost update a count goes back.
TEST(SameSlots, PartsOfOnePageAreNeverUndone) {
  constexpr unsigned kThreads = 4;
  constexpr std::uint64_t kSteps = test::repetitions(1500);
  const auto store = make_store(small_store(1));
  std::atomic<std::uint64_t> bad{0};
  const auto work = [&](unsigned writer) {
    const auto session = make_session(*store);
    TestPage page;
    for (std::uint64_t step = 1; step <= kSteps; ++step) {
      const Stamp stamp = make_stamp(writer, step, static_cast<Shape>(1 + step % 4));
      TestPage part;
      stamp_sectors(part.data(), 1, stamp);
      while (session->write_part(0, writer * kSectorSize, part.data(), kSectorSize) !=
             StoreStatus::kOk) {
        (void)store->settle(10'000);
      }
      if (session->read(0, page.data()) != StoreStatus::kOk ||
          stamp_of(page.data() + writer * kSectorSize) != stamp) {
        ++bad;
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(bad.load(), 0u);
}

}  // namespace
}  // namespace pleat::store
