// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat stat`: one device in full, for people or for scripts.
#pragma once

#include <ostream>
#include <string>

#include "base/result.h"
#include "tool/device.h"
#include "tool/system.h"

namespace pleat::tool {

struct StatOptions {
  std::string name = {};
  bool json = false;
  bool mm_stat = false;  // the lines of zram's attributes, those asked for in this order
  bool io_stat = false;
  bool bd_stat = false;
};

Result<void> show_stat(const StatOptions& options, const System& system, std::ostream& out);

// The readable form. Precondition: device.status.
std::string stat_report(const Device& device, const System& system);

}  // namespace pleat::tool
