// SPDX-License-Identifier: MIT OR Apache-2.0
// What a queue has served, counted in one way by every transport: once a request, from when the
// queue's thread takes it from the kernel up to when it has answered it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/histogram.h"
#include "device/request.h"

namespace pleat::device {

// Counters of one queue. One thread writes, any thread reads. They may lie in memory that outlives
// the process.
struct alignas(64) QueueStats {
  Histogram read_ticks;  // service time of the requests that succeeded
  Histogram write_ticks;
  Histogram discard_ticks;  // of write-zeroes, too
  std::atomic<std::uint64_t> read_bytes{0};
  std::atomic<std::uint64_t> write_bytes{0};
  std::atomic<std::uint64_t> discard_bytes{0};
  std::atomic<std::uint64_t> busy_ticks{0};  // time with at least one request taken
  std::atomic<std::uint64_t> invalid_requests{0};
};

// Thread safety: one thread counts; stats() may be read by any.
class RequestCounter {
 public:
  // Counts in `stats`, or in statistics of its own.
  explicit RequestCounter(QueueStats* stats = nullptr)
      : own_(stats == nullptr ? std::make_unique<QueueStats>() : nullptr),
        stats_(stats == nullptr ? *own_ : *stats) {}

  // A request that was taken at `taken_ticks` (ticks_now()) has been answered now, with `error`: 0
  // or -errno. Requests may have been taken together; the time that they share is busy time once.
  // A failed request has no service time: what failed in the store the store counts, and what is
  // not a request to this device (-EINVAL, -EOPNOTSUPP) is counted as invalid.
  void answered(Operation operation, std::size_t length, int error,
                std::uint64_t taken_ticks) noexcept {
    // One processor's counter may be a little behind another's.
    const std::uint64_t now_ticks = std::max({ticks_now(), taken_ticks, answered_ticks_});
    add(stats_.busy_ticks, now_ticks - std::max(taken_ticks, answered_ticks_));
    answered_ticks_ = now_ticks;
    if (error == -EINVAL || error == -EOPNOTSUPP) add(stats_.invalid_requests, 1);
    if (error != 0) return;
    switch (operation) {
      case Operation::kRead:
        stats_.read_ticks.record(now_ticks - taken_ticks);
        add(stats_.read_bytes, length);
        break;
      case Operation::kWrite:
        stats_.write_ticks.record(now_ticks - taken_ticks);
        add(stats_.write_bytes, length);
        break;
      case Operation::kDiscard:
      case Operation::kWriteZeroes:
        stats_.discard_ticks.record(now_ticks - taken_ticks);
        add(stats_.discard_bytes, length);
        break;
      case Operation::kFlush:
      case Operation::kUnsupported:
        break;
    }
  }

  const QueueStats& stats() const noexcept { return stats_; }

 private:
  // One writer, so no read-modify-write is needed.
  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  std::unique_ptr<QueueStats> own_;
  QueueStats& stats_;
  std::uint64_t answered_ticks_ = 0;  // when the latest answer was given
};

}  // namespace pleat::device
