// SPDX-License-Identifier: MIT OR Apache-2.0
// Where the benchmarks take time from: a seam, so that tests give them a clock whose readings they
// know.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace pleat::tool {

struct BenchClock {
  // CPU time of the calling thread, system time included.
  std::uint64_t (*cpu_ns)() = thread_cpu_ns;
  // For single calls, and its rate; ticks_per_second == 0 means that of base/clock.h.
  std::uint64_t (*ticks)() = ticks_now;
  double ticks_per_second = 0;

  double rate() const {
    return ticks_per_second > 0 ? ticks_per_second : pleat::ticks_per_second();
  }
};

}  // namespace pleat::tool
