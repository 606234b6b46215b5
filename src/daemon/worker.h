// SPDX-License-Identifier: MIT OR Apache-2.0
// The worker: the process that holds the store, serves the device and answers the control socket.
#pragma once

#include "base/unique_fd.h"
#include "daemon/board.h"
#include "daemon/name_lock.h"
#include "daemon/options.h"
#include "daemon/procfs.h"

namespace pleat::daemon {

// What a worker gets from the guardian, all of it inherited.
struct WorkerSetup {
  const Options& options;
  ProcessId guardian;
  int memory_id = -1;  // of the store's memory
  Board* board = nullptr;
  UniqueFd reports;
  UniqueFd signals;
  NameLock lock;
};

// Starts the device, reports to the guardian over `reports`, and serves until it is stopped or the
// device ends. It goes on serving when the guardian dies, and then cleans up after both at its end.
// Returns the exit status: 0 after a clean stop, else 1.
int run_worker(WorkerSetup setup);

// Stands by for the device that board->device_id says: prepares all that serving it takes, reports,
// and waits for `go`. From then on it is the worker. Without a guardian it goes by itself when the
// worker dies, unless the other stand-by has. Returns the exit status.
int run_stand_by(WorkerSetup setup, unsigned slot, int go);

}  // namespace pleat::daemon
