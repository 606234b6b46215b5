// SPDX-License-Identifier: MIT OR Apache-2.0
// A kernel zram device of our own for the length of a measurement.
//
// What it costs includes the system call, the block layer and, with direct I/O, looking up the
// caller's page. The same with a page of one repeated word, which zram neither compresses nor
// stores, measures that part: Documentation/admin-guide/blockdev/zram.rst, same_pages.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "tool/blocked_signals.h"
#include "tool/store_subject.h"

namespace pleat::tool {

// Made through /sys/class/zram-control/hot_add, and taken back on destruction. Signals that would
// end the program before that wait; BlockedSignals::pending() tells of them.
class ZramPeer {
 public:
  // EPERM without root, ENOENT without zram in this kernel or its algorithm.
  static Result<std::unique_ptr<ZramPeer>> create(std::uint64_t bytes,
                                                  const std::string& algorithm);
  ~ZramPeer();
  ZramPeer(const ZramPeer&) = delete;
  ZramPeer& operator=(const ZramPeer&) = delete;

  // N of /dev/zramN.
  int id() const { return id_; }

  // Direct reads and writes of a page, and discards, in slots from first_slot on.
  StoreSubject subject(std::uint64_t first_slot);
  // The same with a page of one repeated word, whatever page is given.
  StoreSubject same_filled_subject(std::uint64_t first_slot);

  // orig_data_size, compr_data_size and mem_used_total of mm_stat, in bytes.
  struct Memory {
    std::uint64_t stored_bytes = 0;
    std::uint64_t compressed_bytes = 0;
    std::uint64_t used_bytes = 0;
  };
  Result<Memory> memory() const;
  // Has the kernel compact the device's memory.
  Result<void> compact();

 private:
  ZramPeer() = default;
  Result<void> set_up(std::uint64_t bytes, const std::string& algorithm);
  std::string attribute(const char* name) const;

  BlockedSignals signals_;
  int id_ = -1;
  UniqueFd device_;
};

}  // namespace pleat::tool
