// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat compact`: has devices free what lies between stored pages.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "tool/system.h"

namespace pleat::tool {

// Compacts the devices one after the other, going on after a failure; the error names all that
// failed. Writes a line for each: "pleat0: 312 pages (1.2M) freed". A name that no Pleat device has
// may be a kernel zram device's, zram0 or /dev/zram0: ENOENT where there is none either, ENODEV
// where it has no size yet, EACCES without root.
Result<void> compact_devices(const std::vector<std::string>& names, const System& system,
                             std::ostream& out);

}  // namespace pleat::tool
