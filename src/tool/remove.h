// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat remove`: the end of devices, and of what dead daemons left of theirs.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "tool/system.h"

namespace pleat::tool {

struct RemoveOptions {
  std::vector<std::string> names = {};
  bool all = false;       // all devices, instead of names
  bool swap_off = false;  // first take them out of swap
  unsigned stop_timeout_ms = 30'000;
};

// Removes the devices one after the other, going on after a failure; the error names all that
// failed. Each is gone from /dev when this returns.
Result<void> remove_devices(const RemoveOptions& options, const System& system,
                            std::ostream& notes);

}  // namespace pleat::tool
