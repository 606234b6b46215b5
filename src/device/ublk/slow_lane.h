// SPDX-License-Identifier: MIT OR Apache-2.0
// The slow lane of a queue: a thread for requests that wait for the backing device, so that the
// others do not wait behind them.
//
// Thread safety: start(), push(), pop_done() and end() by the queue's thread. Nothing is allocated
// after start().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/result.h"
#include "device/request.h"

namespace pleat::device::ublk {

struct SlowRequest {
  unsigned tag = 0;
  Operation operation = Operation::kUnsupported;
  std::uint64_t offset = 0;  // bytes
  std::size_t length = 0;
  std::uint64_t taken_ticks = 0;
  int error = 0;  // 0 or -errno, once it is done
};

class SlowLane {
 public:
  // Serves one request, on the lane's thread: 0 or -errno.
  using Serve = std::function<int(const SlowRequest& request)>;

  SlowLane() = default;
  ~SlowLane() { end(); }
  SlowLane(const SlowLane&) = delete;
  SlowLane& operator=(const SlowLane&) = delete;

  // For at most `tags` requests at a time. `done_event`, an eventfd, is raised after each. Signals
  // are blocked by the caller. EAGAIN; EPERM where `io_flusher` cannot be set.
  Result<void> start(const std::string& name, bool io_flusher, unsigned tags, int done_event,
                     Serve serve);
  bool is_there() const noexcept { return thread_.joinable(); }
  void push(const SlowRequest& request) noexcept;
  // Whether there was one.
  bool pop_done(SlowRequest* request) noexcept;
  // Requests that are neither done nor taken back.
  std::uint64_t in_flight() const noexcept { return pushed_ - popped_; }
  // Returns once the thread has ended, which is after the request that it serves; it drops others.
  void end() noexcept;

 private:
  void run() noexcept;

  Serve serve_;
  int done_event_ = -1;
  unsigned tags_ = 0;
  std::unique_ptr<SlowRequest[]> ring_;  // each is pushed, served and popped at one place
  std::uint64_t pushed_ = 0;
  std::uint64_t popped_ = 0;
  std::atomic<std::uint64_t> to_serve_{0};  // pushed so far, and one more at the end
  std::atomic<std::uint64_t> served_{0};
  std::atomic<bool> is_to_end_{false};
  std::thread thread_;
};

}  // namespace pleat::device::ublk
