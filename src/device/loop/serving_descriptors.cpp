// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/loop/serving_descriptors.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

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

Result<void> take_serving_descriptors(std::initializer_list<int> kept) {
  if (unshare(CLONE_FILES) != 0) {
    return errno_error("cannot give a serving thread descriptors of its own");
  }
  std::vector<int> keep(kept);
  keep.push_back(STDERR_FILENO);
  std::sort(keep.begin(), keep.end());
  unsigned first = 0;
  for (const int number : keep) {
    if (number < 0) continue;
    const auto fd = static_cast<unsigned>(number);
    if (fd > first) close_all(first, fd - 1);
    first = std::max(first, fd + 1);
  }
  close_all(first, ~0u);
  return {};
}

}  // namespace pleat::device
