// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/queue_stats.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "base/clock.h"

namespace pleat::device {
namespace {

constexpr std::uint64_t kTicks = 1'000'000;

class RequestCounterTest : public testing::Test {
 protected:
  RequestCounter counter_;
  const QueueStats& stats_ = counter_.stats();
};

TEST_F(RequestCounterTest, EveryAnswerIsOneRequestAndItsBytes) {
  const std::uint64_t taken_ticks = ticks_now();
  counter_.answered(Operation::kWrite, 16384, 0, taken_ticks);
  counter_.answered(Operation::kWrite, 512, 0, taken_ticks);
  counter_.answered(Operation::kRead, 1024, 0, taken_ticks);
  counter_.answered(Operation::kDiscard, 4096, 0, taken_ticks);
  counter_.answered(Operation::kWriteZeroes, 4096, 0, taken_ticks);
  counter_.answered(Operation::kFlush, 0, 0, taken_ticks);
  EXPECT_EQ(stats_.write_bytes.load(), 16384u + 512);
  EXPECT_EQ(stats_.read_bytes.load(), 1024u);
  EXPECT_EQ(stats_.write_ticks.count(), 2u);
  EXPECT_EQ(stats_.read_ticks.count(), 1u);
  EXPECT_EQ(stats_.discard_ticks.count(), 2u);
  EXPECT_EQ(stats_.discard_bytes.load(), 8192u);
  EXPECT_EQ(stats_.invalid_requests.load(), 0u);
}

TEST(RequestCounterAfterAnother, GoesOnWhereThatEnded) {
  QueueStats stats;
  RequestCounter(&stats).answered(Operation::kWrite, 4096, 0, ticks_now());
  RequestCounter counter(&stats);
  counter.answered(Operation::kWrite, 4096, 0, ticks_now());
  EXPECT_EQ(stats.write_ticks.count(), 2u);
  EXPECT_EQ(stats.write_bytes.load(), 8192u);
  EXPECT_EQ(&counter.stats(), &stats);
}

TEST_F(RequestCounterTest, AFailedRequestIsNoSampleAndNoBytes) {
  const std::uint64_t taken_ticks = ticks_now();
  for (const int error : {-EIO, -ENOSPC, -EINVAL, -EOPNOTSUPP}) {
    counter_.answered(Operation::kRead, 4096, error, taken_ticks);
    counter_.answered(Operation::kWrite, 4096, error, taken_ticks);
  }
  EXPECT_EQ(stats_.read_ticks.count() + stats_.write_ticks.count(), 0u);
  EXPECT_EQ(stats_.read_bytes.load() + stats_.write_bytes.load(), 0u);
  // Those that the device does not have, and not those that the store could not do.
  EXPECT_EQ(stats_.invalid_requests.load(), 4u);
  EXPECT_GT(stats_.busy_ticks.load(), 0u);
}

TEST_F(RequestCounterTest, ServiceTimeIsFromTakingToAnswer) {
  counter_.answered(Operation::kRead, 4096, 0, ticks_now() - kTicks);
  counter_.answered(Operation::kRead, 4096, 0, ticks_now());
  EXPECT_GE(stats_.read_ticks.quantile(1.0), kTicks);
  EXPECT_LT(stats_.read_ticks.quantile(0.5), stats_.read_ticks.quantile(1.0));
}

TEST_F(RequestCounterTest, TheTimeThatRequestsShareIsBusyOnce) {
  const std::uint64_t taken_ticks = ticks_now() - kTicks;
  for (int i = 0; i < 8; ++i) counter_.answered(Operation::kRead, 4096, 0, taken_ticks);
  EXPECT_GE(stats_.busy_ticks.load(), kTicks);
  EXPECT_LE(stats_.busy_ticks.load(), ticks_now() - taken_ticks);
}

TEST_F(RequestCounterTest, TheTimeBetweenRequestsIsNotBusy) {
  counter_.answered(Operation::kRead, 4096, 0, ticks_now());
  const std::uint64_t busy_ticks = stats_.busy_ticks.load();
  const std::uint64_t wait_ticks = ticks_now();
  while (ticks_now() - wait_ticks < kTicks) continue;
  counter_.answered(Operation::kWrite, 4096, 0, ticks_now());
  EXPECT_LE(stats_.busy_ticks.load() - busy_ticks, ticks_now() - wait_ticks - kTicks);
}

}  // namespace
}  // namespace pleat::device
