// SPDX-License-Identifier: MIT OR Apache-2.0
// The guardian: a daemon's main process. It makes the worker and waits; when the worker is gone,
// however it went, it removes what is left of the device.
//
// It has one thread and serves nothing, so that nothing a worker runs into can happen to it.
#pragma once

#include "base/result.h"
#include "daemon/options.h"

namespace pleat::daemon {

// Runs a daemon in the caller's process until its device is gone. Returns the exit status: 0 after
// a clean stop, else 1, with one line on stderr. Where there is a ready descriptor it gets one line
// of JSON, {"ok":true,"path":...} or {"ok":false,"code":...,"error":...}, and is closed.
int run_daemon(const Options& asked);

// Removes what dead daemons left, and says what. The exit status: 1 where something could not be
// removed.
int run_sweep();

}  // namespace pleat::daemon
