// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat writeback`: moves stored pages to the device's backing device; kernel zram's too.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "tool/system.h"

namespace pleat::tool {

// Pages of a device, from `first` to `last`, both included.
struct PageRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

// "12" or "12-99". EINVAL.
Result<PageRange> parse_page_range(const std::string& text);

struct WritebackOptions {
  std::vector<std::string> names;      // of devices of ours or of kernel zram
  std::string type = {};               // "idle", "huge", "huge_idle", "incompressible", or empty
  std::vector<PageRange> ranges = {};  // only these pages; none: all
  std::optional<std::uint64_t> pages_max = std::nullopt;  // of each device
};

// Writes the devices' pages back one after the other, going on after a failure; the error names all
// that failed. Writes a line for each: "pleat0: 312 pages written back in 120 blocks (480K), 470K
// of memory freed", "zram0: 312 pages written back". ENOENT where there is no such device;
// EOPNOTSUPP or ENODEV where it has no backing device; EDQUOT (kernel zram: EIO) where its limit is
// used up; ENOSPC where the backing device is full.
Result<void> write_devices_back(const WritebackOptions& options, const System& system,
                                std::ostream& out);

}  // namespace pleat::tool
