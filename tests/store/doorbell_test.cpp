// SPDX-License-Identifier: MIT OR Apache-2.0
// A ring that is lost leaves work undone until somebody happens to ring again.
#include "store/doorbell.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "repetitions.h"

namespace pleat::store {
namespace {

// One ringer says what it wants by a plain store and rings. The other is the sleeper itself, which
// rings once more where it had something to do, as the reserve's thread does: so the first often
// finds the bell rung and about to be taken back. Its store waits behind others that miss the
// cache, as after a page is written, so that a ring that only looks at the bell looks too early.
TEST(Doorbell, NoRingIsLostBetweenTwoRingersAndOneSleeper) {
  constexpr std::uint64_t kRings = test::repetitions(300'000);
  constexpr std::uint64_t kPatience_ns = 20'000'000'000;
  alignas(64) std::atomic<std::uint64_t> wanted{0};
  alignas(64) std::atomic<std::uint64_t> done{0};
  std::vector<std::uint64_t> cold(std::size_t{8} << 20);
  Doorbell bell;
  std::thread sleeper([&] {
    volatile unsigned busy = 0;
    while (done < kRings) {
      bell.wait();
      const std::uint64_t found = wanted.load(std::memory_order_relaxed);
      if (found == done) continue;
      done = found;
      bell.ring();
      while (busy < found % 32) busy = busy + 1;
      busy = 0;
    }
  });
  std::mt19937_64 random(1);
  bool lost = false;
  for (std::uint64_t number = 1; number <= kRings && !lost; ++number) {
    for (int i = 0; i < 4; ++i) cold[random() % cold.size()] = number;
    wanted.store(number, std::memory_order_relaxed);
    bell.ring();
    const std::uint64_t deadline_ns = monotonic_ns() + kPatience_ns;
    while (done < number && !lost) lost = monotonic_ns() > deadline_ns;
  }
  EXPECT_FALSE(lost) << "after " << done;
  wanted = kRings;
  bell.ring();
  sleeper.join();
}

}  // namespace
}  // namespace pleat::store
