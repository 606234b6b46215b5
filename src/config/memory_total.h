// SPDX-License-Identifier: MIT OR Apache-2.0
// The machine's memory, which size expressions call `ram`.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace pleat::config {

// MemTotal of `meminfo_path` in bytes. EBADMSG where the file has no such line.
Result<std::uint64_t> memory_total_bytes(const std::string& meminfo_path = "/proc/meminfo");

}  // namespace pleat::config
