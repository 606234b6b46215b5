// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/errand_thread.h"

#include <utility>

#include "base/process.h"
#include "store/background_thread.h"
#include "store/futex.h"

namespace pleat::store {

ErrandThread::~ErrandThread() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  bell_.ring();
  thread_.join();
}

Result<void> ErrandThread::start(const char* name, bool io_flusher) {
  auto started = start_background_thread(name, io_flusher, [this, io_flusher] {
    // Pages are decoded on it.
    if (io_flusher) touch_stack();
    serve();
  });
  if (!started) return std::move(started).error();
  thread_ = *std::move(started);
  return {};
}

void ErrandThread::run_on_thread() noexcept {
  ++asked_;
  bell_.ring();
  while (done_.load(std::memory_order_acquire) != asked_) futex_wait(done_, asked_ - 1);
}

void ErrandThread::serve() noexcept {
  while (true) {
    bell_.wait();
    if (stop_.load(std::memory_order_acquire)) return;
    call_(context_);
    done_.fetch_add(1, std::memory_order_release);
    futex_wake(done_, kFutexAll);
  }
}

}  // namespace pleat::store
