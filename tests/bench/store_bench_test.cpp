// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/store_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "bench/fake_clock.h"
#include "tool/store_report.h"

namespace pleat::tool {
namespace {

using testing::HasSubstr;

PageSet random_pages(std::size_t count) {
  std::vector<PageSet> sets = synthetic_page_sets(count, 1);
  return std::move(sets.back());
}

// A store that keeps pages as they are and takes known times.
StoreSubject timed_subject(std::size_t slots, std::uint64_t write_ns, std::uint64_t read_ns,
                           std::uint64_t discard_ns) {
  StoreSubject kept = memcpy_store_subject(slots);
  StoreSubject subject;
  subject.name = "timed";
  subject.write = [=](std::uint64_t slot, const std::byte* page) {
    fake_now_ns += write_ns;
    return kept.write(slot, page);
  };
  subject.read = [=](std::uint64_t slot, std::byte* page) {
    fake_now_ns += read_ns;
    return kept.read(slot, page);
  };
  subject.discard = [=](std::uint64_t) {
    fake_now_ns += discard_ns;
    return true;
  };
  return subject;
}

TEST(StoreBench, ComputesTimesAPageFromTheClock) {
  const PageSet set = random_pages(10);
  std::vector<StoreSubject> subjects = {timed_subject(10, 2000, 500, 50), memcpy_store_subject(10)};
  Result<std::vector<StoreResult>> results = measure_subjects(set, subjects, 3, 1, fake_clock());
  ASSERT_TRUE(results) << results.error().message;
  ASSERT_EQ(results->size(), 2u);
  const StoreResult& timed = (*results)[0];
  EXPECT_DOUBLE_EQ(timed.at(StoreOperation::kWrite).us, 2.0);
  EXPECT_DOUBLE_EQ(timed.at(StoreOperation::kOverwrite).us, 2.0);
  EXPECT_DOUBLE_EQ(timed.at(StoreOperation::kRead).us, 0.5);
  EXPECT_DOUBLE_EQ(timed.at(StoreOperation::kDiscard).us, 0.05);
  EXPECT_DOUBLE_EQ(timed.at(StoreOperation::kRead).call_p50_us, 0.5);
  EXPECT_DOUBLE_EQ(timed.at(StoreOperation::kRead).call_p999_us, 0.5);
  EXPECT_DOUBLE_EQ(timed.at(StoreOperation::kWrite).gb_per_s, 2.048);
  EXPECT_EQ((*results)[1].at(StoreOperation::kDiscard).us, 0) << "memcpy has no discard";
}

TEST(StoreBench, CatchesAPageThatComesBackWrong) {
  const PageSet set = random_pages(10);
  std::vector<StoreSubject> subjects = {timed_subject(10, 1, 1, 1)};
  subjects[0].read = [read = subjects[0].read](std::uint64_t slot, std::byte* page) {
    const bool done = read(slot, page);
    if (slot == 7) page[100] ^= std::byte{0x80};
    return done;
  };
  Result<std::vector<StoreResult>> results = measure_subjects(set, subjects, 1, 1, fake_clock());
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().code, EBADMSG);
  EXPECT_THAT(results.error().message, HasSubstr("page 7 of random comes back wrong"));
}

TEST(StoreBench, CatchesAReadThatReadsNothing) {
  // Two subjects in turn: what the first has read is not what the second gives back.
  const PageSet set = random_pages(10);
  std::vector<StoreSubject> subjects = {memcpy_store_subject(10), timed_subject(10, 1, 1, 1)};
  subjects[1].read = [](std::uint64_t, std::byte*) { return true; };
  EXPECT_FALSE(measure_subjects(set, subjects, 1, 1, fake_clock()));
}

TEST(StoreBench, SaysWhichOperationFailed) {
  const PageSet set = random_pages(4);
  std::vector<StoreSubject> subjects = {timed_subject(4, 1, 1, 1)};
  subjects[0].discard = [](std::uint64_t slot) { return slot != 2; };
  Result<std::vector<StoreResult>> results = measure_subjects(set, subjects, 1, 1, fake_clock());
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().code, EIO);
  EXPECT_THAT(results.error().message, HasSubstr("timed: a discard of random failed"));
}

TEST(StoreBench, LeavesSameFilledPagesOutUnlessThereAreNoOthers) {
  PageSet mixed = random_pages(6);
  std::memset(mixed.memory.page(1), 0, kPageSize);
  std::memset(mixed.memory.page(4), 7, kPageSize);
  mixed.same_filled = 2;
  const PageSet kept = without_same_filled(mixed);
  ASSERT_EQ(kept.count, 4u);
  EXPECT_EQ(std::memcmp(kept.page(0), mixed.page(0), kPageSize), 0);
  EXPECT_EQ(std::memcmp(kept.page(1), mixed.page(2), kPageSize), 0);
  EXPECT_EQ(std::memcmp(kept.page(3), mixed.page(5), kPageSize), 0);

  const std::vector<PageSet> sets = synthetic_page_sets(6, 1);
  EXPECT_EQ(without_same_filled(sets[0]).count, 6u);
}

TEST(StoreBench, RunsTheRealStoreOnSeveralThreads) {
  StoreBenchOptions options;
  options.kernels = codec::available_kernels().back();
  options.threads = {1, 2, 3};
  options.repeats = 1;
  const std::vector<PageSet> sets = synthetic_page_sets(64, 1);
  Result<StoreBenchReport> report = run_store_bench(sets, options);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->corpora.size(), 5u);
  for (const StoreCorpusResult& corpus : report->corpora) {
    ASSERT_EQ(corpus.results.size(), 5u) << corpus.name;
    EXPECT_EQ(corpus.results[kStoreResult].subject, "store");
    EXPECT_EQ(corpus.results[4].threads, 3u);
    for (const OperationTimes& times : corpus.results[4].operations) {
      EXPECT_GT(times.us, 0);
      EXPECT_GT(times.gb_per_s, 0);
    }
  }
  const StoreMemory& text = report->corpora[1].memory;
  EXPECT_GT(text.ratio, 1.0);
  EXPECT_GT(text.metadata_share, 0);
  EXPECT_NEAR(text.slot_table_share, 0.002, 0.0001);
  EXPECT_LE(report->corpora.back().memory.ratio, 1.0) << "random pages are stored raw";
}

TEST(StoreBench, RefusesAnUnknownCodec) {
  StoreBenchOptions options;
  options.kernels = codec::available_kernels().front();
  options.codec = "no-such-codec";
  EXPECT_FALSE(run_store_bench(synthetic_page_sets(4, 1), options));
}

}  // namespace
}  // namespace pleat::tool
