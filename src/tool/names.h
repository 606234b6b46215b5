// SPDX-License-Identifier: MIT OR Apache-2.0
// Names of devices: their order, the next free one, and what a user may say instead.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pleat::tool {

// Order in which people count: pleat2 before pleat10. Equal only for equal texts.
bool natural_less(std::string_view left, std::string_view right);

// The first of pleat0, pleat1, ... that has neither a socket nor a state file.
std::string first_free_name();

// The name behind `argument`: itself, or, for a path such as /dev/ublkb0, that of the device which
// has it. EINVAL for what is no name, ENOENT for a path that no device of ours has.
Result<std::string> resolve_name(const std::string& argument);

// The devices that a command is for: `names`, or with `all` every one there is, in people's order,
// and a note where there is none.
std::vector<std::string> chosen_names(const std::vector<std::string>& names, bool all,
                                      std::ostream& notes);

// Whether a daemon of this name, living or dead, has left a file in the runtime directory.
bool has_files(const std::string& name);

}  // namespace pleat::tool
