// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/options_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/page.h"
#include "control/socket.h"

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

Result<void> check_root() {
  if (geteuid() == 0) return {};
  return Error{EPERM, "making a block device needs root; run as root"};
}

}  // namespace pleat::daemon
