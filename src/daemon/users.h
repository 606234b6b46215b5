// SPDX-License-Identifier: MIT OR Apache-2.0
// Who uses a block device: what a clean stop asks first, so that no swap, file system or program
// loses its pages.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/procfs.h"

namespace pleat::daemon {

struct BlockDevice {
  std::string path;  // "/dev/loop3"
  unsigned major = 0;
  unsigned minor = 0;
};

// ENOENT, ENOTBLK.
Result<BlockDevice> block_device(const std::string& path);

enum class UseKind { kSwap, kMount, kHolder, kBackingFile, kOpen };

struct Use {
  UseKind kind = UseKind::kOpen;
  std::string text;    // "in use as swap", "mounted on /mnt", "open in process 123 (dd)"
  std::string remedy;  // "swapoff /dev/loop3 (or pleat remove NAME --swapoff)"

  // Whether it lasts until somebody ends it; a program that has the device open may be about to
  // close it (udev looks at every device that was written).
  bool lasts() const noexcept { return kind != UseKind::kOpen; }
};

// Every use that /proc and /sys show, but for processes in `ignored`. Nothing is opened that could
// wait for the device.
std::vector<Use> find_uses(const BlockDevice& device, const std::string& name,
                           const std::vector<pid_t>& ignored, const KernelRoots& roots = {});

// One line: "/dev/loop3 is in use as swap; run: swapoff /dev/loop3 (or ...)".
std::string describe_uses(const BlockDevice& device, const std::vector<Use>& uses);

// Opens the device with O_EXCL, which no swapon or mount gets past, once nothing uses it. Programs
// that merely have it open are given patience_ms to close it. EBUSY says who uses it and what to
// do.
Result<UniqueFd> claim_device(const BlockDevice& device, const std::string& name,
                              const std::vector<pid_t>& ignored, unsigned patience_ms,
                              const KernelRoots& roots = {});

}  // namespace pleat::daemon
