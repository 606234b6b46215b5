// SPDX-License-Identifier: MIT OR Apache-2.0
// A ublk device over the store. The order of its life is that of device/ublk/control.h; who owns
// what:
//
//   UblkTransport   the control device, /dev/ublkcN, the eventfds, and
//   Queue           one for each hardware queue: thread, ring, descriptors, buffers, session
#pragma once

#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "device/transport.h"
#include "device/ublk/control.h"
#include "device/ublk/queue.h"

namespace pleat::device::ublk {

class UblkTransport final : public Transport {
 public:
  // What start_ublk() promises, through an open control device.
  static Result<std::unique_ptr<Transport>> start(Control control, store::Store& store,
                                                  const TransportOptions& options);
  // What stand_by_ublk() promises.
  static Result<std::unique_ptr<Transport>> stand_by(Control control, store::Store& store,
                                                     const TransportOptions& options, int id);
  ~UblkTransport() override;

  const TransportInfo& info() const noexcept override { return info_; }
  std::vector<const QueueStats*> queue_stats() const override;
  int ended_fd() const noexcept override { return ended_event_.get(); }
  Result<void> stop() override;
  Result<void> take_over() override;
  Result<void> resize(std::uint64_t bytes) override;
  bool is_stuck() noexcept override;
  Result<void> stop_claimed(UniqueFd claim) override;

 private:
  explicit UblkTransport(Control control) : control_(std::move(control)) {}
  Result<void> add_device(const TransportOptions& options);
  Result<void> set_params(const store::Store& store, const TransportOptions& options);
  Result<void> make_ended_event();
  Result<void> open_char_device();
  void describe(std::uint64_t flags);
  Result<void> prepare_queues(store::Store& store, const TransportOptions& options);
  Result<void> begin_queues();
  Result<void> start_device();
  void set_queue_limits();
  bool has_requests() noexcept;
  Result<void> join_queues();

  Control control_;
  DeviceInfo device_{};
  bool added_ = false;
  UniqueFd char_device_;
  UniqueFd ended_event_;
  UniqueFd inflight_;  // the disk's file of this name, once it was looked at
  std::vector<std::unique_ptr<Queue>> queues_;
  TransportInfo info_;
};

}  // namespace pleat::device::ublk
