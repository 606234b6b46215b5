// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat gpu tier`: offers memory of a GPU as a file, for devices to write cold pages back to.
//
// It is a process of its own, so that no device's worker has CUDA in it: what kills or hangs this
// one costs the pages that are in it and nothing else.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "base/result.h"

namespace pleat::tool {

struct GpuTierOptions {
  std::string directory;     // that the file system is mounted on
  std::uint64_t bytes = 0;   // a multiple of 4096, and not 0
  std::uint32_t device = 0;  // number of the GPU
};

// Serves until SIGINT, SIGTERM or SIGHUP come while nobody has the file open; says on `notes` why
// it goes on where somebody has. `out` gets a line when it is ready, and so does the service
// manager that NOTIFY_SOCKET names. An error where it cannot begin, or where somebody else has
// unmounted it.
Result<void> run_gpu_tier(const GpuTierOptions& options, std::ostream& out, std::ostream& notes);

}  // namespace pleat::tool
