// SPDX-License-Identifier: MIT OR Apache-2.0
// What the tool knows of a device: its daemon's answer, or why there is none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/status.h"
#include "tool/system.h"

namespace pleat::tool {

struct Device {
  std::string name;
  std::optional<control::DeviceStatus> status;  // nothing where the daemon does not answer
  Error error;                                  // why, then
  std::vector<std::string> mount_points;
};

// A daemon answers within milliseconds; one that takes this long hangs.
inline constexpr unsigned kQueryTimeout_ms = 3000;

// Asks the daemon of `name`, at most kQueryTimeout_ms.
Result<control::DeviceStatus> query_status(const std::string& name);

Device query_device(const std::string& name, const System& system);

}  // namespace pleat::tool
