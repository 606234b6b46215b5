// SPDX-License-Identifier: MIT OR Apache-2.0
// A clock that stands still until a benchmark's subject says that it has used time.
#pragma once

#include <cstdint>

#include "tool/bench_clock.h"

namespace pleat::tool {

inline std::uint64_t fake_now_ns = 0;

inline std::uint64_t fake_clock_now() { return fake_now_ns; }

// One tick is 1 ns.
inline BenchClock fake_clock() {
  BenchClock clock;
  clock.cpu_ns = fake_clock_now;
  clock.ticks = fake_clock_now;
  clock.ticks_per_second = 1e9;
  return clock;
}

}  // namespace pleat::tool
