// SPDX-License-Identifier: MIT OR Apache-2.0
// Making a device swap, and ending that.
#pragma once

#include <string>

#include "base/result.h"
#include "tool/system.h"

namespace pleat::tool {

// Memory that is compressed should be full before a disk is used. The priority that systemd's
// zram-generator uses too; the kernel gives devices without one negative ones.
inline constexpr int kDefaultSwapPriority = 100;
inline constexpr int kSwapPriorityMax = 32767;  // SWAP_FLAG_PRIO_MASK, linux/swap.h

struct SwapOptions {
  int priority = kDefaultSwapPriority;  // 0 to kSwapPriorityMax
  // Whether the kernel tells the device of each page that it frees, so that its memory is freed
  // too.
  bool discard = true;
};

// The flags of swapon(2).
int swap_flags(const SwapOptions& options);

// Runs mkswap on the device and swaps to it.
Result<void> start_swap(const std::string& device_path, const SwapOptions& options,
                        const System& system);

// What keeps swap on compressed memory slow on this machine, as a line for people; empty where
// nothing does.
std::string swap_advice(const System& system);

}  // namespace pleat::tool
