// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/ublk/slow_lane.h"

#include <pthread.h>

#include <system_error>
#include <utility>

#include "base/event.h"
#include "base/process.h"

namespace pleat::device::ublk {

Result<void> SlowLane::start(const std::string& name, bool io_flusher, unsigned tags,
                             int done_event, Serve serve) {
  serve_ = std::move(serve);
  done_event_ = done_event;
  tags_ = tags;
  ring_ = std::make_unique<SlowRequest[]>(tags);
  std::atomic<int> ready{0};
  Result<void> flusher;
  try {
    thread_ = std::thread([&, io_flusher] {
      if (io_flusher) {
        flusher = set_io_flusher();
        touch_stack();
      }
      ready.store(1, std::memory_order_release);
      ready.notify_one();
      run();
    });
  } catch (const std::system_error& error) {
    return errno_error(error.code().value(), "cannot start a thread for slow requests");
  }
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
  ready.wait(0, std::memory_order_acquire);
  if (!flusher) end();
  return flusher;
}

void SlowLane::push(const SlowRequest& request) noexcept {
  ring_[pushed_ % tags_] = request;
  to_serve_.store(++pushed_, std::memory_order_release);
  to_serve_.notify_one();
}

bool SlowLane::pop_done(SlowRequest* request) noexcept {
  if (popped_ == served_.load(std::memory_order_acquire)) return false;
  *request = ring_[popped_++ % tags_];
  return true;
}

void SlowLane::end() noexcept {
  if (!thread_.joinable()) return;
  is_to_end_.store(true, std::memory_order_release);
  to_serve_.fetch_add(1, std::memory_order_release);
  to_serve_.notify_one();
  thread_.join();
}

void SlowLane::run() noexcept {
  for (std::uint64_t served = 0;; ++served) {
    while (to_serve_.load(std::memory_order_acquire) == served) {
      to_serve_.wait(served, std::memory_order_acquire);
    }
    if (is_to_end_.load(std::memory_order_acquire)) return;
    SlowRequest& request = ring_[served % tags_];
    request.error = serve_(request);
    served_.store(served + 1, std::memory_order_release);
    raise_event(done_event_);
  }
}

}  // namespace pleat::device::ublk
