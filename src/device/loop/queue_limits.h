// SPDX-License-Identifier: MIT OR Apache-2.0
// How much a loop device has in flight: so many requests of so many bytes at most.
//
// Without a limit below its own, a loop device takes 128 requests of 1280 KiB. Reclaim in a memory
// cgroup then turns all of the cgroup into writes that have not begun, finds nothing to free, and
// kills for want of memory; with one it sleeps until a request has ended. The limits are the block
// queue's (Documentation/ABI/stable/sysfs-block: nr_requests, max_sectors_kb), which outlives the
// device that is attached to it, so the kernel's defaults are put back: what the queue had may be
// what a killed daemon left.
#pragma once

#include <string>

#include "base/result.h"

namespace pleat::device {

class QueueLimits {
 public:
  // Limits block device `name`, such as "loop0", to `requests` and `request_kib` KiB a request,
  // where it allows more. EROFS, EACCES or ENOENT where /sys cannot be written.
  static Result<QueueLimits> apply(const std::string& name, unsigned requests,
                                   unsigned request_kib);
  // The same for one that another process has limited so.
  static Result<QueueLimits> inherit(const std::string& name, unsigned requests);
  // Puts the defaults back, so far as the kernel lets us.
  void restore() const;

 private:
  QueueLimits(std::string folder, unsigned requests, unsigned request_kib);

  std::string folder_;
  unsigned requests_;
  unsigned request_kib_;
};

}  // namespace pleat::device
