// SPDX-License-Identifier: MIT OR Apache-2.0
// The loop transport: a loop device over a FUSE file that this process serves.
//
// What owns what: the loop device holds the file, the file holds the mount, the mount the
// connection. This process holds the loop device, its serving threads hold the connection
// (loop/serving_descriptors.h). So the end of the loop device, by whoever's hand, ends the serving
// threads; and the death of this process fails what is in flight and detaches the loop device once
// nobody else has it open.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <utility>

#include "base/page.h"
#include "device/loop/fuse_file.h"
#include "device/loop/heap.h"
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
  LoopTransport(std::unique_ptr<FuseFile> file, LoopDevice device, const TransportOptions& options)
      : file_(std::move(file)), device_(std::move(device)) {
    info_.kind = TransportKind::kLoop;
    info_.path = device_->path();
    info_.id = device_->id();
    info_.queues = options.queues;
    info_.depth = options.depth;
    info_.features.push_back("DIRECT_IO");
    if (file_->async_direct_io()) info_.features.push_back("ASYNC_DIO");
    if (file_->cloned()) info_.features.push_back("CLONED_FD");
    if (frees_discarded_pages(device_->id())) info_.features.push_back("PUNCH_HOLE");
    auto limits = QueueLimits::apply("loop" + std::to_string(device_->id()),
                                     std::max(options.depth, kRequestsMin), kRequestKib);
    if (limits) {
      limits_ = std::move(*limits);
    } else {
      info_.features.push_back("no request limit (" + limits.error().message + ")");
    }
  }
  ~LoopTransport() override {
    if (device_) static_cast<void>(stop());
  }

  const TransportInfo& info() const noexcept override { return info_; }
  std::vector<const QueueStats*> queue_stats() const override { return file_->queue_stats(); }
  int ended_fd() const noexcept override { return file_->ended_fd(); }

  Result<void> resize(std::uint64_t bytes) override { return device_->resize(bytes); }
  Result<void> stop() override { return stop_claimed(UniqueFd()); }
  Result<void> stop_claimed(UniqueFd claim) override {
    if (limits_) limits_->restore();
    limits_.reset();
    // The file serves until the loop device is detached, since that writes what is still dirty.
    Result<void> detached = claim ? device_->detach_claimed(std::move(claim), kDetachTimeoutMs)
                                  : device_->detach(kDetachTimeoutMs);
    device_.reset();
    Result<void> stopped = file_->stop();
    return detached ? std::move(stopped) : std::move(detached);
  }

 private:
  std::unique_ptr<FuseFile> file_;
  std::optional<LoopDevice> device_;  // empty once stopped
  std::optional<QueueLimits> limits_;
  TransportInfo info_;
};

}  // namespace

Result<void> probe_loop() {
  if (auto loop = probe_loop_control(); !loop) return loop;
  return probe_fuse();
}

Result<std::unique_ptr<Transport>> start_loop(store::Store& store,
                                              const TransportOptions& options) {
  if (auto checked = check(options); !checked) return std::move(checked).error();
  if (auto probed = probe_loop(); !probed) return std::move(probed).error();
  keep_heap();
  auto file = FuseFile::create(store, loop_tag(options.name), options);
  if (!file) return std::move(file).error();

  // The loop device takes a reference of its own; ours is closed on return, while the threads that
  // answer that close still run.
  auto backing = (*file)->open_file();
  if (!backing) return std::move(backing).error();
  LoopOptions loop;
  loop.tag = loop_tag(options.name);
  loop.block_bytes = options.block_bytes;
  loop.bytes = store.slots() * kPageSize;
  auto device = LoopDevice::attach(backing->get(), loop);
  if (!device) return std::move(device).error();
  std::unique_ptr<Transport> transport =
      std::make_unique<LoopTransport>(std::move(file).value(), std::move(device).value(), options);
  return transport;
}

}  // namespace pleat::device
