// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/background_thread.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <system_error>
#include <utility>

#include "base/process.h"

namespace pleat::store {

Result<std::thread> start_background_thread(const char* name, bool io_flusher,
                                            std::function<void()> run) {
  // The daemon's signals are for its other threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::atomic<int> started{0};
  Result<void> flusher;
  std::thread thread;
  try {
    thread = std::thread([&started, &flusher, name, io_flusher, body = std::move(run)] {
      pthread_setname_np(pthread_self(), name);
      if (io_flusher) flusher = set_io_flusher();
      const bool failed = !flusher;
      started.store(1, std::memory_order_release);
      started.notify_one();
      if (!failed) body();
    });
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return errno_error(error.code().value(), "cannot start a background thread of the store");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  started.wait(0, std::memory_order_acquire);
  if (flusher) return thread;
  thread.join();
  return std::move(flusher).error();
}

}  // namespace pleat::store
