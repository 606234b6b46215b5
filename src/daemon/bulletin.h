// SPDX-License-Identifier: MIT OR Apache-2.0
// The bulletin: what the processes of one daemon share among themselves, a piece of memory that
// each inherits. A daemon that takes the place of another has its own.
//
// Thread safety: the lines are written by the guardian alone; all else are atomics.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <new>

#include "base/result.h"
#include "daemon/board.h"

namespace pleat::daemon {

// Lines for people that the guardian has. It does not write them itself: the log may be a file
// whose pages are out on the daemon's own device, and a guardian that waits for that wakes nobody.
struct LoggedLine {
  int level = 0;  // a LogLevel
  char text[508] = {};
};

struct Bulletin {
  // The guardian ends on purpose: nobody is to take its place.
  std::atomic<bool> is_over{false};
  Seat spawner;
  Seat logger;
  Seat stand_bys[kStandBys];  // those that are ready
  // Lines [logged - kLines, logged) are there; the logger prints them (spawner.h).
  static constexpr unsigned kLines = 32;
  std::atomic<unsigned> logged{0};
  LoggedLine lines[kLines];

  unsigned stand_bys_ready() const noexcept {
    unsigned count = 0;
    for (const Seat& seat : stand_bys) count += seat.load().pid != 0 ? 1 : 0;
    return count;
  }
};

// It lasts as long as one of the processes that have it.
inline Result<Bulletin*> make_bulletin() {
  void* const memory = mmap(nullptr, sizeof(Bulletin), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return errno_error("no memory for what the daemon's processes share");
  return new (memory) Bulletin;
}

}  // namespace pleat::daemon
