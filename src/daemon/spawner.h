// SPDX-License-Identifier: MIT OR Apache-2.0
// The spawner: a process that makes stand-bys for the guardian.
//
// The guardian itself must not: a fork waits for memory, and a guardian that waits in one while the
// worker dies is a guardian that wakes nobody. For the same reason a child of the spawner's writes
// the guardian's lines to the log.
#pragma once

#include <array>
#include <functional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/board.h"

namespace pleat::daemon {

// eventfds of the guardian's, by the stand-by's slot. Writing one allocates nothing.
struct StandByEvents {
  std::array<UniqueFd, kStandBys> wanted;  // tells the spawner to make one
  std::array<UniqueFd, kStandBys> go;      // tells the stand-by to take over
  UniqueFd logged;                         // tells the logger that there are lines on the board
};
Result<StandByEvents> make_stand_by_events();

// Makes a stand-by each time one is wanted, and prints what is on the board, until the guardian,
// which has the other end of `reports`, is gone. The new process runs `stand_by` with its slot and
// exits with its result; its parent is the nearest subreaper, which the guardian is.
int run_spawner(const StandByEvents& events, const Board& board, int reports,
                const std::function<int(unsigned slot)>& stand_by);

}  // namespace pleat::daemon
