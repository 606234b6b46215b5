// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat set`: attributes that change while the device is in use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace pleat::tool {

struct Assignment {
  std::string key;  // as on the socket: "mem_limit", "size"
  std::uint64_t value = 0;
};

// "mem-limit=SIZE" (a size expression; 0 = no limit), "mem-used-max=0", or "writeback-limit=SIZE"
// (0 = none may be written; none = no limit). EINVAL says what there is.
Result<Assignment> parse_assignment(const std::string& text);

// Sends the assignments in their order and stops at the first that the daemon refuses.
Result<void> set_attributes(const std::string& name, const std::vector<Assignment>& assignments);

}  // namespace pleat::tool
