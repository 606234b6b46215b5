// SPDX-License-Identifier: MIT OR Apache-2.0
// The worker: the process that holds the store, serves the device and answers the control socket.
#pragma once

#include <optional>

#include "base/unique_fd.h"
#include "daemon/board.h"
#include "daemon/bulletin.h"
#include "daemon/name_lock.h"
#include "daemon/options.h"
#include "daemon/procfs.h"
#include "device/transport.h"

namespace pleat::daemon {

// What a worker gets from the guardian, all of it inherited.
struct WorkerSetup {
  const Options& options;
  Board* board = nullptr;
  Bulletin* bulletin = nullptr;
  UniqueFd reports;
  UniqueFd signals;
  std::optional<NameLock> lock;
  device::LoopConnection connection;  // of a loop device whose worker can be succeeded
};

// Starts the device, reports to the guardian over `reports`, and serves until it is stopped or the
// device ends. It goes on serving where there is no guardian any more, and then cleans up at its
// end. Without a lock some other process of the daemon has it.
// Returns the exit status: 0 after a clean stop, else 1.
int run_worker(WorkerSetup setup);

// Stands by for the device that board->device_id says: prepares all that serving it takes, reports,
// and waits for `go`. From then on it is the worker. Without a guardian it goes by itself when the
// worker dies, unless the other stand-by has. Returns the exit status.
int run_stand_by(WorkerSetup setup, unsigned slot, int go);

}  // namespace pleat::daemon
