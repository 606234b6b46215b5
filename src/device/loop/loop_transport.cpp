// SPDX-License-Identifier: MIT OR Apache-2.0
// The loop transport: a loop device over a FUSE file that this process serves.
//
// What owns what: the loop device holds the file, the file holds the mount, the mount the
// connection. This process holds the loop device, its serving threads hold the connection
// (loop/serving_descriptors.h). So the end of the loop device, by whoever's hand, ends the serving
// threads; and the death of this process fails what is in flight and detaches the loop device once
// nobody else has it open.
//
// Where the kernel can send lost requests again others hold the connection too, and the loop device
// stays attached: the death of this process leaves what is in flight waiting for a stand-by.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>

#include "base/heap.h"
#include "base/page.h"
#include "device/loop/fuse_file.h"
#include "device/loop/fuse_mount.h"
#include "device/loop/loop_device.h"
#include "device/loop/queue_limits.h"
#include "device/loop/tag.h"
#include "device/transport.h"

namespace pleat::device {
namespace {

constexpr unsigned kDetachTimeoutMs = 8000;
// A block queue has at least 4 requests (BLKDEV_MIN_RQ).
constexpr unsigned kRequestsMin = 4;
constexpr unsigned kRequestKib = 128;

bool frees_discarded_pages(int id) {
  std::ifstream file("/sys/block/loop" + std::to_string(id) + "/queue/discard_max_bytes");
  std::uint64_t bytes = 0;
  return file >> bytes && bytes != 0;
}

Result<void> check(const TransportOptions& options) {
  constexpr std::size_t kNameLengthMax = 32;
  if (options.name.empty() || options.name.size() > kNameLengthMax ||
      options.name.find('/') != std::string::npos) {
    return Error{EINVAL, "a device name has 1 to 32 characters and no '/'"};
  }
  if (options.queues == 0 || options.depth == 0) {
    return Error{EINVAL, "a device needs at least one queue and a depth of at least 1"};
  }
  if (options.block_bytes != 512 && options.block_bytes != 4096) {
    return Error{EINVAL, "the block size is 512 or 4096"};
  }
  return {};
}

class LoopTransport final : public Transport {
 public:
  // Without a device it is a stand-by for loop device `id`.
  LoopTransport(std::unique_ptr<FuseFile> file, std::optional<LoopDevice> device, int id,
                bool recoverable, const TransportOptions& options)
      : tag_(loop_tag(options.name)), file_(std::move(file)), device_(std::move(device)) {
    info_.kind = TransportKind::kLoop;
    info_.path = loop_path(id);
    info_.id = id;
    info_.queues = options.queues;
    info_.depth = options.depth;
    info_.recoverable = recoverable;
    info_.features.push_back("DIRECT_IO");
    if (file_->async_direct_io()) info_.features.push_back("ASYNC_DIO");
    if (file_->cloned()) info_.features.push_back("CLONED_FD");
    if (frees_discarded_pages(id)) info_.features.push_back("PUNCH_HOLE");
    info_.features.push_back(recoverable ? "RESEND" : "no RESEND");
    const std::string name = "loop" + std::to_string(id);
    const unsigned requests = std::max(options.depth, kRequestsMin);
    auto limits = device_ ? QueueLimits::apply(name, requests, kRequestKib)
                          : QueueLimits::inherit(name, requests);
    if (limits) {
      limits_ = std::move(*limits);
    } else {
      info_.features.push_back("no request limit (" + limits.error().message + ")");
    }
  }
  ~LoopTransport() override {
    if (device_) static_cast<void>(stop());
  }

  Result<void> take_over() override {
    if (const int error = file_->take_over(); error != 0) {
      return errno_error(error, "cannot take over " + info_.path);
    }
    // From here on pages are served.
    device_.emplace(LoopDevice::attached(info_.id, tag_));
    return {};
  }

  const TransportInfo& info() const noexcept override { return info_; }
  std::vector<const QueueStats*> queue_stats() const override { return file_->queue_stats(); }
  int ended_fd() const noexcept override { return file_->ended_fd(); }

  Result<void> resize(std::uint64_t bytes) override { return device_->resize(bytes); }
  Result<void> stop() override { return stop_claimed(UniqueFd()); }
  Result<void> stop_claimed(UniqueFd claim) override {
    if (limits_) limits_->restore();
    limits_.reset();
    if (!file_->has_abort()) {
      // Where it cannot be had the connection ends with its last descriptor.
      if (const auto minor = device_->file_system()) {
        if (auto abort = open_fuse_abort(*minor)) file_->set_abort(std::move(*abort));
      }
    }
    // The file serves until the loop device is detached, since that writes what is still dirty.
    Result<void> detached = claim ? device_->detach_claimed(std::move(claim), kDetachTimeoutMs)
                                  : device_->detach(kDetachTimeoutMs);
    device_.reset();
    Result<void> stopped = file_->stop();
    return detached ? std::move(stopped) : std::move(detached);
  }

 private:
  const std::string tag_;
  std::unique_ptr<FuseFile> file_;
  std::optional<LoopDevice> device_;  // empty once stopped, and as long as it stands by
  std::optional<QueueLimits> limits_;
  TransportInfo info_;
};

}  // namespace

Result<void> probe_loop() {
  if (auto loop = probe_loop_control(); !loop) return loop;
  return probe_fuse();
}

Result<std::unique_ptr<Transport>> start_loop(store::Store& store, const TransportOptions& options,
                                              LoopConnection connection) {
  if (auto checked = check(options); !checked) return std::move(checked).error();
  if (auto probed = probe_loop(); !probed) return std::move(probed).error();
  keep_heap();
  const bool recoverable = !connection.empty();
  auto file = FuseFile::create(store, loop_tag(options.name), options, std::move(connection));
  if (!file) return std::move(file).error();

  // The loop device takes a reference of its own; ours is closed on return, while the threads that
  // answer that close still run.
  auto backing = (*file)->open_file();
  if (!backing) return std::move(backing).error();
  LoopOptions loop;
  loop.tag = loop_tag(options.name);
  loop.block_bytes = options.block_bytes;
  loop.bytes = store.slots() * kPageSize;
  loop.autoclear = !recoverable;
  auto device = LoopDevice::attach(backing->get(), loop);
  if (!device) return std::move(device).error();
  const int id = device->id();
  std::unique_ptr<Transport> transport = std::make_unique<LoopTransport>(
      std::move(file).value(), std::move(device).value(), id, recoverable, options);
  return transport;
}

Result<std::unique_ptr<Transport>> stand_by_loop(store::Store& store,
                                                 const TransportOptions& options, int id,
                                                 LoopConnection connection) {
  keep_heap();
  auto file = FuseFile::stand_by(store, loop_tag(options.name), options, std::move(connection));
  if (!file) return std::move(file).error();
  std::unique_ptr<Transport> transport =
      std::make_unique<LoopTransport>(std::move(file).value(), std::nullopt, id, true, options);
  return transport;
}

}  // namespace pleat::device
