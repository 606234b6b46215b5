// SPDX-License-Identifier: MIT OR Apache-2.0
// A page's size as kernels count it: in 32 bits, of which a GPU adds two in one instruction.
#pragma once

#include <cstdint>

#include "base/page.h"

namespace pleat::gpu {

inline constexpr std::uint32_t kPageBytes = kPageSize;

}  // namespace pleat::gpu
