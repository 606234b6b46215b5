// SPDX-License-Identifier: MIT OR Apache-2.0
// A background thread that does what it is told to, one errand at a time, for somebody who waits.
//
// Thread safety: run() from one thread at a time; start() and the destructor once. Nothing is
// allocated after start().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>

#include "base/result.h"
#include "store/doorbell.h"

namespace pleat::store {

class ErrandThread {
 public:
  ErrandThread() = default;
  ~ErrandThread();
  ErrandThread(const ErrandThread&) = delete;
  ErrandThread& operator=(const ErrandThread&) = delete;

  // EPERM where `io_flusher` cannot be set, EAGAIN.
  Result<void> start(const char* name, bool io_flusher);
  // Has the thread call `errand`, and waits until it has.
  template <typename Errand>
  void run(Errand&& errand) noexcept {
    using Callable = std::remove_reference_t<Errand>;
    context_ = std::addressof(errand);
    call_ = [](void* context) noexcept { (*static_cast<Callable*>(context))(); };
    run_on_thread();
  }
  // Whether an errand is to end soon.
  bool stopping() const noexcept { return stop_.load(std::memory_order_relaxed); }

 private:
  void run_on_thread() noexcept;
  void serve() noexcept;

  Doorbell bell_;
  std::atomic<bool> stop_{false};
  void* context_ = nullptr;
  void (*call_)(void* context) noexcept = nullptr;
  std::atomic<std::uint32_t> done_{0};  // errands
  std::uint32_t asked_ = 0;
  std::thread thread_;
};

}  // namespace pleat::store
