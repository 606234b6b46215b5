// SPDX-License-Identifier: MIT OR Apache-2.0
// /dev/ublk-control: the life of ublk devices, in order:
//
//   add_device      /dev/ublkcN appears, state "dead"
//   set_params      size, block sizes, discard
//   (the server opens /dev/ublkcN; every queue's thread submits a FETCH for every tag)
//   start_device    /dev/ublkbN appears, state "live"; returns once all FETCHes are there
//   (the server dies: state "quiesced" where the device has the flags of recovery)
//   start_recovery  the next server opens /dev/ublkcN and submits its FETCHes
//   end_recovery    state "live"; what was in flight is issued again
//   stop_device     /dev/ublkbN goes; every FETCH completes with -ENODEV; state "dead"
//   (the server closes /dev/ublkcN)
//   delete_device   /dev/ublkcN goes, the number is free
//
// Every call returns within its time-out, with an Error of one line that says what to do.
// Thread safety: one thread at a time.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "device/ublk/abi.h"
#include "device/ublk/command_ring.h"

namespace pleat::device::ublk {

class Control {
 public:
  // Opens the driver, after one try to load its module, and finds out which commands it takes.
  // `newest` is the newest encoding to use: with kLegacy every kernel is one of Linux 6.1, without
  // features. ENOENT (no driver), EACCES or EPERM (no permission), and io_uring's errors.
  static Result<Control> open(Encoding newest = Encoding::kIoctl);

  Encoding encoding() const noexcept { return encoding_; }
  // Device flags that the driver knows, where it can say so (6.5); else 0.
  std::uint64_t features() const noexcept { return features_; }

  // Asks for a device of wanted.nr_hw_queues, queue_depth, max_io_buf_bytes, dev_id (or kAnyDevice)
  // and flags. Returns what the driver made of it; a flag it does not know is missing there.
  Result<DeviceInfo> add_device(const DeviceInfo& wanted);
  Result<void> set_params(unsigned id, Params params);
  // The CPUs whose requests come through `queue`.
  Result<cpu_set_t> queue_affinity(unsigned id, unsigned queue);
  Result<void> start_device(unsigned id, pid_t server);
  // Gives a started device another size. EOPNOTSUPP before 6.16.
  Result<void> update_size(unsigned id, std::uint64_t sectors);
  // EBUSY until everything of the last server is closed and the driver has noticed. In the errors'
  // place an errno, for nothing is allocated here.
  int start_recovery(unsigned id) noexcept;
  int end_recovery(unsigned id, pid_t server) noexcept;
  // ENODEV where there is no such device.
  Result<DeviceInfo> device_info(unsigned id);
  // Success too where the device is gone or was never started.
  Result<void> stop_device(unsigned id);
  // Success too where the device is gone. Waits until its number is free, which takes the last
  // close of its two files by whoever has them open. Where that takes too long the device is gone
  // but its number is not; that is success on kernels that can confirm it (6.9), else ETIMEDOUT.
  Result<void> delete_device(unsigned id);

 private:
  Control(UniqueFd file, CommandRing ring) : file_(std::move(file)), ring_(std::move(ring)) {}
  Result<void> find_encoding(Encoding newest);
  int run(Command command, unsigned id, std::span<std::byte> payload, std::uint64_t data,
          unsigned timeout_ms) noexcept;

  UniqueFd file_;
  CommandRing ring_;  // after file_, which it uses
  Encoding encoding_ = Encoding::kLegacy;
  std::uint64_t features_ = 0;
};

}  // namespace pleat::device::ublk
