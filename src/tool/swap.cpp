// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/swap.h"

#include <sys/swap.h>

#include <fstream>

#include "tool/subprocess.h"

#ifndef SWAP_FLAG_DISCARD_PAGES  // linux/swap.h, since 3.11; glibc has SWAP_FLAG_DISCARD only
#define SWAP_FLAG_DISCARD_PAGES 0x40000
#endif

namespace pleat::tool {
namespace {

constexpr unsigned kMkswapTimeout_ms = 30'000;

}  // namespace

int swap_flags(const SwapOptions& options) {
  int flags = SWAP_FLAG_PREFER | ((options.priority << SWAP_FLAG_PRIO_SHIFT) & SWAP_FLAG_PRIO_MASK);
  // DISCARD alone would also discard the whole device at swapon, which is empty here.
  if (options.discard) flags |= SWAP_FLAG_DISCARD | SWAP_FLAG_DISCARD_PAGES;
  return flags;
}

Result<void> start_swap(const std::string& device_path, const SwapOptions& options,
                        const System& system) {
  const Result<std::string> mkswap = find_program("mkswap");
  if (!mkswap) return with_context(mkswap.error(), "cannot make swap (install util-linux)");
  const Result<std::string> made = run_program({*mkswap, device_path}, kMkswapTimeout_ms);
  if (!made) return made.error();
  return system.swap_on(device_path, swap_flags(options));
}

std::string swap_advice(const System& system) {
  std::ifstream file(system.root + "/proc/sys/vm/page-cluster");
  unsigned cluster = 0;
  // The kernel allows 0 to 31.
  if (!(file >> cluster) || cluster == 0 || cluster > 31) return {};
  return "vm.page-cluster is " + std::to_string(cluster) +
         ": each page read from swap brings up to " + std::to_string((1u << cluster) - 1) +
         " neighbours along, which pays for disks but not here; run: sysctl vm.page-cluster=0";
}

}  // namespace pleat::tool
