// SPDX-License-Identifier: MIT OR Apache-2.0
// A time stamp that costs a few nanoseconds and no system call, for the I/O path: clock_gettime()
// is a real system call in some guests.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace pleat {

// The processor's constant-rate counter. Only differences have a meaning.
inline std::uint64_t ticks_now() noexcept {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  std::uint64_t value;
  asm volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
#else
#error "ticks_now() has no counter for this processor"
#endif
}

// Ticks of one second, measured once against CLOCK_MONOTONIC at the first call (which takes 20 ms;
// call it before I/O starts). Thread safe.
double ticks_per_second();

// A difference of ticks in nanoseconds.
std::uint64_t ticks_to_ns(std::uint64_t ticks);

// CLOCK_THREAD_CPUTIME_ID, CLOCK_PROCESS_CPUTIME_ID and CLOCK_MONOTONIC in nanoseconds.
std::uint64_t thread_cpu_ns();
std::uint64_t process_cpu_ns();
std::uint64_t monotonic_ns();

}  // namespace pleat
