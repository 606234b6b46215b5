// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel as the tool sees it: a seam, so that tests bring a /proc and swap calls of their own.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace pleat::tool {

struct System {
  // Put in front of every /proc, /sys and /dev path; empty for the real ones.
  std::string root;
  // The release that uname() gives, "6.12.3-amd64".
  std::string kernel_release;
  // swapon(2) with the flags of sys/swap.h, and swapoff(2), which returns when every page is back.
  std::function<Result<void>(const std::string& path, int flags)> swap_on;
  std::function<Result<void>(const std::string& path)> swap_off;

  static System real();

  // Whether the kernel is `major`.`minor` or later; false where its release is not understood.
  bool kernel_at_least(unsigned major, unsigned minor) const;
};

}  // namespace pleat::tool
