// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat list`: a row a device.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "tool/system.h"

namespace pleat::tool {

struct ListOptions {
  std::vector<std::string> names = {};  // empty: all devices
  std::string output = {};              // LIST or +LIST of columns; empty: the default ones
  bool output_all = false;
  bool bytes = false;  // sizes in bytes, durations in nanoseconds
  bool raw = false;    // a space between columns, no padding; a space within is \x20
  bool no_headings = false;
  bool json = false;
};

// Writes the table or the JSON object {"devices":[...]} to `out`, in natural order of the names.
// Devices whose daemon does not answer have a row, and are the error at the end.
Result<void> list_devices(const ListOptions& options, const System& system, std::ostream& out);

}  // namespace pleat::tool
