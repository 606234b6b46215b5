// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat upgrade`: another daemon in the place of a device's own, living or dead.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"

namespace pleat::tool {

struct UpgradeOptions {
  std::vector<std::string> names = {};
  bool all = false;  // all devices, instead of names
  unsigned ready_timeout_ms = 180'000;
};

// Hands the devices over to new processes of pleatd, one after the other, going on after a failure;
// the error names all that failed. Where that does not work a device is left to its last daemon.
Result<void> upgrade_devices(const UpgradeOptions& options, std::ostream& notes);

}  // namespace pleat::tool
