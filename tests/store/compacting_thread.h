// SPDX-License-Identifier: MIT OR Apache-2.0
// Compaction without a pause, of a store in which it always finds something to move, and ages that
// grow as fast.
#pragma once

#include <atomic>
#include <cstdint>
#include <random>
#include <thread>

#include "store/stamped_page.h"
#include "store/store_inspector.h"

namespace pleat::store {

class CompactingThread {
 public:
  struct Slots {
    std::uint64_t first;
    std::uint64_t end;
  };

  // Writes and discards in `slots`, which are for it alone, pages like those of other threads, so
  // that the spans of these have objects that come and go; and compacts. It has freed some pages
  // when the constructor returns.
  CompactingThread(Store& store, Slots slots, std::uint64_t seed)
      : thread_([this, &store, slots, seed] { run(store, slots, seed); }) {
    while (freed_ == 0) std::this_thread::yield();
  }
  ~CompactingThread() {
    if (thread_.joinable()) stop();
  }
  CompactingThread(const CompactingThread&) = delete;
  CompactingThread& operator=(const CompactingThread&) = delete;

  void stop() {
    stop_ = true;
    thread_.join();
  }

 private:
  void run(Store& store, Slots slots, std::uint64_t seed) {
    const auto session = make_session(store);
    std::mt19937_64 random(seed);
    for (std::uint64_t round = 1; !stop_; ++round) {
      for (std::uint64_t slot = slots.first; slot < slots.end; ++slot) {
        const Stamp stamp = make_stamp(0xFFFF, round, static_cast<Shape>(1 + random() % 4));
        (void)session->write(slot, stamped_page(stamp).data());
      }
      for (std::uint64_t slot = slots.first; slot < slots.end; ++slot) {
        if (random() % 8 != 0) session->discard(slot, 1);
      }
      freed_ += store.compact();
      StoreInspector::state(store).ager.advance(round, round + 1);
      if (round % 4 == 0) (void)store.mark_idle(60).has_value();
    }
    session->discard(slots.first, slots.end - slots.first);
  }

  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> freed_{0};
  std::thread thread_;
};

}  // namespace pleat::store
