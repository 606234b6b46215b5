// SPDX-License-Identifier: MIT OR Apache-2.0
// Sizes as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pleat {

// Parses "4096", "64K", "512M", "4G", "1T", also with a fraction ("1.5G"). As zramctl has it, K,
// KiB and k mean 1024 and KB means 1000, and so for M, G and T. Negative, empty, unknown and too
// large for 64 bits are errors (EINVAL, ERANGE).
Result<std::uint64_t> parse_size(std::string_view text);

// "1.9G" in the manner of util-linux: one decimal below ten units of 1024, none where it is zero.
std::string format_size(std::uint64_t bytes);

// "850ns", "12.3us", "4.56ms", "1.20s": three significant digits.
std::string format_duration_ns(std::uint64_t duration_ns);

}  // namespace pleat
