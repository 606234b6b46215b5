// SPDX-License-Identifier: MIT OR Apache-2.0
// The worker: the process that holds the store, serves the device and answers the control socket.
#pragma once

#include "base/unique_fd.h"
#include "daemon/name_lock.h"
#include "daemon/options.h"
#include "daemon/procfs.h"

namespace pleat::daemon {

// Starts the device, reports to the guardian over `reports`, and serves until it is stopped or the
// device ends. It goes on serving when the guardian dies, and then cleans up after both at its end.
// Returns the exit status: 0 after a clean stop, else 1.
int run_worker(const Options& options, const ProcessId& guardian, UniqueFd reports,
               UniqueFd signals, NameLock lock);

}  // namespace pleat::daemon
