// SPDX-License-Identifier: MIT OR Apache-2.0
// What the processes of one daemon share: a page of memory that each inherits from the guardian.
//
// Thread safety: the atomics by anybody; the rest is written by the guardian before a stand-by is
// asked for.
#pragma once

#include <sys/mman.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <new>

#include "base/result.h"

namespace pleat::daemon {

inline constexpr unsigned kStandBys = 2;

// Lines for people that the guardian has. It does not write them itself: the log may be a file
// whose pages are out on the daemon's own device, and a guardian that waits for that wakes nobody.
struct LoggedLine {
  int level = 0;  // a LogLevel
  char text[508] = {};
};

struct Board {
  std::atomic<pid_t> worker{0};                // which process serves
  std::atomic<std::uint64_t> heartbeat_ns{0};  // when it last said so, as monotonic_ns() counts
  // The dead worker that a stand-by succeeds, where there is no guardian to choose one.
  std::atomic<pid_t> succeeded{0};
  std::atomic<unsigned> stand_bys_ready{0};
  std::atomic<std::uint64_t> mem_limit_bytes{0};  // as it was last set
  std::atomic<bool> has_ended{false};  // the device is gone, or going: nobody is to succeed
  int device_id = -1;                  // ublk's number, for stand-bys
  char reason[256] = {};               // why this transport
  // Lines [logged - kLines, logged) are there; the logger prints them (spawner.cpp).
  static constexpr unsigned kLines = 32;
  std::atomic<unsigned> logged{0};
  LoggedLine lines[kLines];
};

// A board that lasts as long as one of the processes that have it.
inline Result<Board*> make_board() {
  void* const memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return errno_error("no memory for what guardian and worker share");
  return new (memory) Board;
}

// The worker's main loop says this often that it runs; one that has not for so long is stuck.
inline constexpr int kHeartbeatMs = 200;
inline constexpr std::uint64_t kHeartbeatLimitNs = 1'000'000'000;

}  // namespace pleat::daemon
