// SPDX-License-Identifier: MIT OR Apache-2.0
// The spawner, a process that makes stand-bys for the guardian, and the logger, one that prints its
// lines.
//
// The guardian itself must not: a fork waits for memory, and a guardian that waits in one while the
// worker dies is a guardian that wakes nobody. Nor may it wait for the log (bulletin.h).
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/bulletin.h"

namespace pleat::daemon {

// eventfds of the guardian's, by the stand-by's slot. Writing one allocates nothing.
struct StandByEvents {
  std::array<UniqueFd, kStandBys> wanted;  // tells the spawner to make one
  std::array<UniqueFd, kStandBys> go;      // tells the stand-by to take over
  UniqueFd logged;                         // tells the logger that there are lines
};
Result<StandByEvents> make_stand_by_events();

// Makes a stand-by each time one is wanted. The new process runs `stand_by` with its slot and
// returns its result, the exit status; its parent is the nearest subreaper, which the guardian is.
// In the spawner itself this returns once the guardian, a pidfd, is gone: 0 where that is over on
// purpose, nothing where somebody has to take its place.
std::optional<int> run_spawner(const StandByEvents& events, const Bulletin& bulletin,
                               const UniqueFd& guardian,
                               const std::function<int(unsigned slot)>& stand_by);

// Prints the bulletin's lines until every guardian, which has the other end of `reports`, is gone.
int run_logger(const StandByEvents& events, const Bulletin& bulletin, int reports);

}  // namespace pleat::daemon
