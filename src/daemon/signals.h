// SPDX-License-Identifier: MIT OR Apache-2.0
// Signals as descriptors: no handler ever runs in a daemon.
#pragma once

#include <csignal>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::daemon {

// Has a guardian end without its device: the daemon's other processes go on, and their next
// guardian is none of the service manager's business.
inline constexpr int kLeaveSignal = SIGUSR1;

// Blocks SIGTERM, SIGINT and kLeaveSignal for this thread and those it starts, ignores what would
// end a daemon for no reason of its own (SIGHUP of a closed terminal, SIGPIPE), and returns a
// signalfd for the three. Call it while the process has one thread.
Result<UniqueFd> open_stop_signals();

// Takes one pending signal without waiting: its number, or 0.
int take_signal(int signals);

}  // namespace pleat::daemon
