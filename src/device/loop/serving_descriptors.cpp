// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/loop/serving_descriptors.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "device/loop/fuse_mount.h"

namespace pleat::device {
namespace {

// Closes the descriptors from `first` to `last`.
void close_all(unsigned first, unsigned last) {
  if (first > last || close_range(first, last, 0) == 0) return;
  // Before Linux 5.9.
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto end = std::min<rlim_t>(limit.rlim_cur, rlim_t{last} + 1);
  for (rlim_t fd = first; fd < end; ++fd) close(static_cast<int>(fd));
}

}  // namespace

Result<ServingDescriptors> take_serving_descriptors(int device, int kept) {
  if (unshare(CLONE_FILES) != 0) {
    return errno_error("cannot give a serving thread descriptors of its own");
  }
  ServingDescriptors descriptors;
  descriptors.connection = device;
  if (auto clone = clone_fuse_device(device)) {
    descriptors.connection = clone->release();
    descriptors.cloned = true;
  }
  std::array<unsigned, 3> keep = {STDERR_FILENO, static_cast<unsigned>(kept),
                                  static_cast<unsigned>(descriptors.connection)};
  std::sort(keep.begin(), keep.end());
  unsigned first = 0;
  for (const unsigned fd : keep) {
    if (fd > first) close_all(first, fd - 1);
    first = std::max(first, fd + 1);
  }
  close_all(first, ~0u);
  return descriptors;
}

}  // namespace pleat::device
