// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat recompress`: has devices compress stored pages anew with a slower codec.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "tool/gpu_batch_server.h"
#include "tool/system.h"

namespace pleat::tool {

struct RecompressOptions {
  std::vector<std::string> names;  // of devices of ours or of kernel zram
  std::string type = {};           // "idle", "huge", "huge_idle", or empty: all pages
  std::optional<std::uint64_t> threshold_bytes = std::nullopt;  // least stored bytes of a page
  std::optional<std::uint64_t> pages_max = std::nullopt;        // of each device
  std::optional<std::string> algorithm = std::nullopt;
  std::optional<GpuBatchOptions> gpu = std::nullopt;  // compresses instead of the daemon
};

// Recompresses the devices' pages one after the other, going on after a failure; the error names
// all that failed. Writes a line for each: "pleat0: 312 pages recompressed (1.2M saved), 9 left as
// they are", "zram0: 1.2M saved"; with a GPU it is named. ENOENT where there is no such device;
// EOPNOTSUPP or EINVAL where it has no second codec. With a GPU: as GpuBatchServer::start(),
// EOPNOTSUPP for devices of kernel zram and for codecs that no GPU has, EBADMSG where the GPU
// returns what is not its page.
Result<void> recompress_devices(const RecompressOptions& options, const System& system,
                                std::ostream& out);

}  // namespace pleat::tool
