// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat create --foreground --swap`: watches over the daemon, and takes the device out of swap
// before it goes.
#pragma once

#include <ostream>

#include "base/result.h"
#include "tool/interruption.h"
#include "tool/launch.h"
#include "tool/system.h"

namespace pleat::tool {

// Returns when the daemon has ended: in success where SIGINT, SIGTERM or SIGHUP asked for it or
// somebody else removed the device. Where swapoff fails the device goes on, and the next signal
// tries again.
Result<void> serve_in_foreground(const LaunchOptions& options, const RunningDaemon& daemon,
                                 const System& system, Interruption& interruption,
                                 std::ostream& notes);

}  // namespace pleat::tool
