// SPDX-License-Identifier: MIT OR Apache-2.0
// Where a block device is in use: as swap, or mounted.
#pragma once

#include <string>
#include <vector>

#include "tool/system.h"

namespace pleat::tool {

// Whether /proc/swaps has the device.
bool is_swap(const std::string& device_path, const System& system);

// "[SWAP]" where it is swap, and the directories that it is mounted on, in the order of
// /proc/self/mountinfo.
std::vector<std::string> mount_points(const std::string& device_path, const System& system);

}  // namespace pleat::tool
