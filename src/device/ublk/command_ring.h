// SPDX-License-Identifier: MIT OR Apache-2.0
// One control command at a time to /dev/ublk-control, each with a time-out.
//
// The driver runs a control command in a kernel thread of this process (io-wq), where it may wait
// for other processes: DEL_DEV until everybody has closed the device, STOP_DEV until requests in
// flight are done. A command that is not back in time is cancelled, which wakes a wait that a
// signal may end; one that is still not back is abandoned together with its ring and its buffer,
// which the kernel may yet write to. Closing a ring never waits, so neither does the destructor.
//
// Thread safety: one thread at a time.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "base/result.h"
#include "device/ublk/abi.h"

namespace pleat::device::ublk {

class CommandRing {
 public:
  // control_fd is /dev/ublk-control and outlives the ring. Fails where io_uring is missing or
  // switched off, with a line that says how to have it.
  static Result<CommandRing> open(int control_fd);
  CommandRing(CommandRing&&) noexcept = default;
  CommandRing& operator=(CommandRing&&) noexcept = default;

  // The most bytes that a command can take or give; the widest are CPU masks.
  static constexpr std::size_t kPayloadBytesMax = 4096;

  // Runs one command. `payload` is what it reads or writes, both at once for some; command.addr and
  // len are filled in from it. Returns the driver's answer (0 or more, with `payload` updated; or
  // -errno), or -ETIMEDOUT after `timeout_ms` and half a second for the cancellation.
  int run(std::uint32_t opcode, ControlCommand command, std::span<std::byte> payload,
          unsigned timeout_ms) noexcept;

 private:
  // What the kernel may still use after a time-out.
  struct Channel {
    io_uring ring{};
    alignas(64) std::byte payload[kPayloadBytesMax]{};
  };
  struct CloseRing {
    void operator()(Channel* channel) const noexcept;
  };
  using ChannelPointer = std::unique_ptr<Channel, CloseRing>;

  static Result<ChannelPointer> open_channel();
  CommandRing(int control_fd, ChannelPointer channel)
      : control_fd_(control_fd), channel_(std::move(channel)) {}
  int submit_and_wait(std::uint32_t opcode, const ControlCommand& command,
                      unsigned timeout_ms) noexcept;
  // The answer to the command numbered `sequence_`, or -ETIME.
  int wait(unsigned timeout_ms) noexcept;
  void abandon() noexcept;

  int control_fd_;
  ChannelPointer channel_;  // empty where a new one could not be made after a time-out
  std::uint64_t sequence_ = 0;
};

}  // namespace pleat::device::ublk
