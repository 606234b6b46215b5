// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/clock.h"

#include <gtest/gtest.h>

namespace pleat {
namespace {

TEST(Ticks, AgreeWithTheMonotonicClock) {
  ticks_per_second();
  const std::uint64_t start_ns = monotonic_ns();
  const std::uint64_t start = ticks_now();
  while (monotonic_ns() - start_ns < 50'000'000) {
  }
  const std::uint64_t ticks = ticks_now() - start;
  const std::uint64_t elapsed_ns = monotonic_ns() - start_ns;
  const double ratio = static_cast<double>(ticks_to_ns(ticks)) / static_cast<double>(elapsed_ns);
  EXPECT_NEAR(ratio, 1.0, 0.2);
}

TEST(ThreadCpu, GrowsWithWork) {
  const std::uint64_t start_ns = thread_cpu_ns();
  volatile std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < 1'000'000; ++i) sum = sum + i;
  EXPECT_GT(thread_cpu_ns(), start_ns);
}

}  // namespace
}  // namespace pleat
