// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat create`: a daemon, its device, and swap on it where asked for. All of it or nothing.
#pragma once

#include <optional>
#include <ostream>
#include <string>

#include "base/result.h"
#include "tool/launch.h"
#include "tool/swap.h"
#include "tool/system.h"

namespace pleat::tool {

struct CreateOptions {
  DaemonOptions daemon = {};                       // an empty name: the first free one
  std::optional<SwapOptions> swap = std::nullopt;  // where the device is to be swap
  bool foreground = false;
  unsigned ready_timeout_ms = 30'000;
};

// Writes the path of the device, alone on its line, to `out`, and explanations to `notes`. In the
// foreground it returns when the device is gone again; without swap the daemon then takes the place
// of this process.
Result<void> create_device(CreateOptions options, const System& system, std::ostream& out,
                           std::ostream& notes);

}  // namespace pleat::tool
