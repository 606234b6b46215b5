// SPDX-License-Identifier: MIT OR Apache-2.0
// From block requests to pages: what every transport does with a request once it has its bytes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/histogram.h"
#include "base/result.h"
#include "store/store.h"

namespace pleat::device {

enum class Operation : std::uint8_t { kRead, kWrite, kFlush, kDiscard, kWriteZeroes };

// Counters of one queue. One thread writes, any thread reads.
struct QueueStats {
  Histogram read_ticks;  // service time a request, from its arrival to its completion, in ticks
  Histogram write_ticks;
  std::atomic<std::uint64_t> read_bytes{0};
  std::atomic<std::uint64_t> write_bytes{0};
  std::atomic<std::uint64_t> busy_ticks{0};  // time spent serving
  std::atomic<std::uint64_t> invalid_requests{0};
};

// Serves the requests of one queue. Thread safety: one thread at a time. Nothing is allocated after
// open().
class RequestServer {
 public:
  static Result<RequestServer> open(store::Store& store);
  RequestServer(RequestServer&&) noexcept;
  ~RequestServer();

  // Serves one request. offset and length are in bytes and multiples of 512; `data` is where the
  // bytes of a write are and those of a read go, and unused otherwise. A page that is covered in
  // part is read, changed and written as one step. Discards and write-zeroes free whole pages; a
  // write-zeroes zeroes the edges of pages covered in part, a discard leaves them. Flush does
  // nothing: a completed write is in the store. Returns 0, or -EINVAL (counted) for a range outside
  // the device or off the sector grid, -ENOSPC, -EIO. On an error the pages before the failing one
  // are done; the block layer reports the whole request failed.
  int serve(Operation operation, std::uint64_t offset, std::size_t length,
            std::byte* data) noexcept;

  QueueStats& stats() noexcept { return *stats_; }
  const QueueStats& stats() const noexcept { return *stats_; }

 private:
  RequestServer(store::Store& store, std::unique_ptr<store::Store::Session> session);

  store::Store* store_;
  std::unique_ptr<store::Store::Session> session_;
  std::unique_ptr<QueueStats> stats_;
  std::unique_ptr<std::byte[]> page_;  // one page, for reads that want a part of one
};

}  // namespace pleat::device
