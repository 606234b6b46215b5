// SPDX-License-Identifier: MIT OR Apache-2.0
// One error made of several, for commands that go on with the next device after a failure.
#pragma once

#include <vector>

#include "base/result.h"

namespace pleat::tool {

// Success where there are no errors; else the first one's code and the text of all.
inline Result<void> all_of(std::vector<Error> errors) {
  if (errors.empty()) return {};
  Error all = errors.front();
  for (std::size_t i = 1; i < errors.size(); ++i) all.message += "; " + errors[i].message;
  return all;
}

}  // namespace pleat::tool
