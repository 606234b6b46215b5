// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/clock.h"

#include <ctime>

namespace pleat {
namespace {

std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

double measure_ticks_per_second() {
  constexpr std::uint64_t kInterval_ns = 20'000'000;
  const std::uint64_t start_ns = monotonic_ns();
  const std::uint64_t start_ticks = ticks_now();
  timespec interval{0, kInterval_ns};
  while (nanosleep(&interval, &interval) != 0) {
  }
  const std::uint64_t elapsed_ticks = ticks_now() - start_ticks;
  const std::uint64_t elapsed_ns = monotonic_ns() - start_ns;
  return static_cast<double>(elapsed_ticks) * 1e9 / static_cast<double>(elapsed_ns);
}

}  // namespace

double ticks_per_second() {
  static const double rate = measure_ticks_per_second();
  return rate;
}

std::uint64_t ticks_to_ns(std::uint64_t ticks) {
  return static_cast<std::uint64_t>(static_cast<double>(ticks) * 1e9 / ticks_per_second());
}

std::uint64_t thread_cpu_ns() { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }
std::uint64_t process_cpu_ns() { return clock_ns(CLOCK_PROCESS_CPUTIME_ID); }
std::uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

}  // namespace pleat
