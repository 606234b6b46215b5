// SPDX-License-Identifier: MIT OR Apache-2.0
// The size of a device as people state it: "4G", "ram / 2", "min(ram * 0.5, 4G)".
//
//   expression := term (("+" | "-") term)*
//   term       := factor (("*" | "/") factor)*
//   factor     := number [suffix] | "ram" | ("min" | "max") "(" expression ("," expression)* ")"
//               | "(" expression ")"
//
// A suffix is one of base/units.h and follows its number without a space. White space is free
// everywhere else.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace pleat::config {

// The value of `text` in bytes, rounded down to a multiple of 4096, where `ram` is `ram_bytes`.
// Arithmetic is that of double: exact for whole sizes up to 8 PiB. EINVAL, with the position where
// the text goes wrong counted from 1, for what is no expression, divides by zero, is negative or
// less than a page; ERANGE where the result is more than 8 PiB.
Result<std::uint64_t> evaluate_size(std::string_view text, std::uint64_t ram_bytes);

// The same with the memory of this machine.
Result<std::uint64_t> evaluate_size(std::string_view text);

}  // namespace pleat::config
