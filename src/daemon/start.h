// SPDX-License-Identifier: MIT OR Apache-2.0
// What pleatd can be asked to do.
#pragma once

#include <string>

#include "daemon/options.h"
#include "daemon/sweep.h"

namespace pleat::daemon {

// Runs a daemon in the caller's process until its device is gone. Where asked.take_up is set and
// the device is there already, as run_successor(); one that cannot be handed over is left to its
// living daemon, of which the service manager is told. Returns the exit status: 0 after a clean
// stop, else 1, with one line on stderr. Where there is a ready descriptor it gets one line of
// JSON, {"ok":true,"path":...} or {"ok":false,"code":...,"error":...}, and is closed.
int run_daemon(const Options& asked);

// The same in the place of the daemon of a device that is there: of a living one, which leaves once
// this one serves, or of a dead one, whose pages are all there. Returns 0 also where another daemon
// takes this one's place in turn.
int run_successor(const std::string& name, int ready_fd);

// Removes what dead daemons left, and says what. The exit status: 1 where something could not be
// removed.
int run_sweep(SweepOf what);

}  // namespace pleat::daemon
