// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat idle`: marks the pages of devices that nobody has used for a while.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "tool/system.h"

namespace pleat::tool {

struct IdleOptions {
  std::vector<std::string> names;                           // of devices of ours or of kernel zram
  std::optional<std::uint64_t> age_seconds = std::nullopt;  // of the pages; none: all of them
};

// Marks the devices' pages one after the other, going on after a failure; the error names all that
// failed. Writes a line for each: "pleat0: 312 pages (1.2M) are idle", "zram0: marked". ENOENT
// where there is no such device, ERANGE for an age that Pleat's devices do not know, EINVAL for one
// that a kernel zram does not.
Result<void> mark_idle(const IdleOptions& options, const System& system, std::ostream& out);

}  // namespace pleat::tool
