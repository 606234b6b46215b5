// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/options_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "base/page.h"
#include "control/socket.h"
#include "daemon/board.h"
#include "store/store.h"

namespace pleat::daemon {

Result<void> check_options(const Options& options) {
  if (!control::valid_name(options.name)) {
    return Error{EINVAL, "bad name \"" + options.name +
                             "\"; use 1 to 32 letters, digits, dots, dashes and underscores, "
                             "beginning with neither dot nor dash"};
  }
  if (options.size_bytes == 0 || options.size_bytes % kPageSize != 0 ||
      options.size_bytes > kSizeBytesMax) {
    return Error{EINVAL, "bad size " + std::to_string(options.size_bytes) +
                             "; use a positive multiple of 4096 bytes, at most 16T"};
  }
  const std::uint64_t size_max = options.size_max_bytes;
  if (size_max != 0 &&
      (size_max < options.size_bytes || size_max % kPageSize != 0 || size_max > kSizeBytesMax)) {
    return Error{EINVAL, "bad largest size " + std::to_string(size_max) +
                             "; use a multiple of 4096 bytes, at least the size and at most 16T"};
  }
  if (options.queues > kQueuesMax) {
    return Error{EINVAL, "bad number of queues " + std::to_string(options.queues) + "; use 1 to " +
                             std::to_string(kQueuesMax)};
  }
  if (options.depth == 0 || options.depth > kDepthMax) {
    return Error{EINVAL, "bad queue depth " + std::to_string(options.depth) + "; use 1 to " +
                             std::to_string(kDepthMax)};
  }
  if (options.block_bytes != kSectorSize && options.block_bytes != kPageSize) {
    return Error{EINVAL,
                 "bad block size " + std::to_string(options.block_bytes) + "; use 512 or 4096"};
  }
  if (options.ready_fd >= 0 && fcntl(options.ready_fd, F_SETFD, FD_CLOEXEC) != 0) {
    return errno_error("cannot use --ready-fd " + std::to_string(options.ready_fd));
  }
  return {};
}

Result<void> resolve_writeback_device(Options& options) {
  if (options.writeback_device.empty()) return {};
  char path[PATH_MAX];
  if (realpath(options.writeback_device.c_str(), path) == nullptr) {
    return errno_error("cannot use the writeback device " + options.writeback_device);
  }
  if (std::strlen(path) >= Board::kTextBytes) {
    return Error{ENAMETOOLONG,
                 "the path of the writeback device is too long: " + std::string(path) +
                     "; it may have " + std::to_string(Board::kTextBytes - 1) + " bytes"};
  }
  options.writeback_device = path;
  auto bytes = store::Store::backing_bytes(options.writeback_device);
  if (!bytes) return std::move(bytes).error();
  options.writeback_bytes = *bytes;
  return {};
}

Result<void> check_root() {
  if (geteuid() == 0) return {};
  return Error{EPERM, "making a block device needs root; run as root"};
}

}  // namespace pleat::daemon
