// SPDX-License-Identifier: MIT OR Apache-2.0
// What a daemon is asked to be: filled in by apps/pleatd, read by the guardian and the worker.
#pragma once

#include <cstdint>
#include <string>

namespace pleat::daemon {

struct Options {
  std::string name;                   // the device's name, control::valid_name()
  std::uint64_t size_bytes = 0;       // size of the device
  std::uint64_t size_max_bytes = 0;   // the largest it may be given; 0 = kSizeMaxFactor times that
  std::string algorithm = "auto";     // specification of the codec, or "auto"
  std::string recompress;             // the same of recompression's codec; empty = none
  std::string writeback_device;       // block device or file to write back to; empty = none
  std::uint64_t writeback_bytes = 0;  // its size, once it was looked at
  std::uint64_t mem_limit_bytes = 0;  // bound on pool memory, 0 = none
  unsigned queues = 0;                // 0 = one a processor, at most kQueuesByDefaultMax
  unsigned depth = 64;                // requests in flight a queue
  unsigned block_bytes = 4096;        // logical block size, 512 or 4096
  std::string transport = "auto";     // "auto", "ublk" or "loop"
  int id = -1;                        // number of the device, -1 = the first free one
  bool take_up = false;               // a device of this name that is there already, as it is
  int ready_fd = -1;                  // where the ready line goes, -1 = nowhere
};

// More queues than this bring little to swap and cost buffers and a session each.
inline constexpr unsigned kQueuesByDefaultMax = 4;
inline constexpr unsigned kQueuesMax = 64;
inline constexpr unsigned kDepthMax = 4096;  // UBLK_MAX_QUEUE_DEPTH, linux/ublk_cmd.h
// Room to grow costs address space only.
inline constexpr std::uint64_t kSizeMaxFactor = 4;
inline constexpr std::uint64_t kSizeBytesMax = std::uint64_t{16} << 40;  // store/store.h

}  // namespace pleat::daemon
