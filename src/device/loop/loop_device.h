// SPDX-License-Identifier: MIT OR Apache-2.0
// One loop device over an open file (linux/loop.h).
//
// With LO_FLAGS_AUTOCLEAR a device detaches itself at its last close. The owner keeps it open, so
// it lives as long as the owner or its users do, and dies with a killed process. Without, it is
// there until somebody detaches it, and the owner does not keep it open: so it waits for the next
// server, and nobody is in the way of a stop. A killed owner that has it open last would write what
// is dirty before it is dead, which only the next server could take.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::device {

struct LoopOptions {
  std::string tag;  // recorded in the device (lo_file_name); at most 63 characters
  unsigned block_bytes = 4096;
  std::uint64_t bytes = 0;  // size of the device; the file may be larger
  bool autoclear = true;
  bool configure = true;  // LOOP_CONFIGURE (Linux 5.8); off to use what was there before
};

class LoopDevice {
 public:
  // Attaches the first free loop device to `file`, with direct I/O or not at all. ENOSPC where none
  // is free.
  static Result<LoopDevice> attach(int file, const LoopOptions& options);
  // The device `id`, which another process has attached with this tag. Does nothing yet.
  static LoopDevice attached(int id, const std::string& tag);
  LoopDevice(LoopDevice&&) noexcept = default;
  LoopDevice& operator=(LoopDevice&&) noexcept = default;

  int id() const noexcept { return id_; }
  std::string path() const;
  // The minor device number of the file system that its file is on.
  Result<unsigned> file_system() const;

  // Gives the device another size, up to that of its file. What is dirty is written first.
  Result<void> resize(std::uint64_t bytes);

  // Detaches the device and waits until it is, at most `timeout_ms`; EBUSY where something else
  // still has it open then. It ends at that one's last close in any case.
  Result<void> detach(unsigned timeout_ms);
  // The same through `claim`, a descriptor opened with O_EXCL: as the last one left it lets the
  // kernel refuse every new open before it is closed, so that nobody begins to use the device.
  Result<void> detach_claimed(UniqueFd claim, unsigned timeout_ms);

 private:
  LoopDevice(UniqueFd fd, int id, std::string tag);

  UniqueFd fd_;  // with LO_FLAGS_AUTOCLEAR
  int id_;
  std::string tag_;
};

// Whether loop devices can be made. Leaves nothing.
Result<void> probe_loop_control();

std::string loop_path(int id);

// Tells loop device `id` to detach if it carries `tag`, and waits for it as detach() does. Success
// where it does not, or no longer.
Result<void> detach_loop(int id, const std::string& tag, unsigned timeout_ms);

}  // namespace pleat::device
