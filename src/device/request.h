// SPDX-License-Identifier: MIT OR Apache-2.0
// From block requests to pages: what every transport does with a request once it has its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "store/store.h"

namespace pleat::device {

// kUnsupported stands for whatever else a kernel sends.
enum class Operation : std::uint8_t { kRead, kWrite, kFlush, kDiscard, kWriteZeroes, kUnsupported };

// Serves the requests of one queue. Thread safety: one thread at a time. Nothing is allocated after
// open().
class RequestServer {
 public:
  static Result<RequestServer> open(store::Store& store);
  RequestServer(RequestServer&&) noexcept;
  ~RequestServer();

  // Serves one request, or a piece of one. offset and length are in bytes and multiples of 512;
  // `data` is where the bytes of a write are and those of a read go, and unused otherwise. A page
  // that is covered in part is read, changed and written as one step. Discards and write-zeroes
  // free whole pages; a write-zeroes zeroes the edges of pages covered in part, a discard leaves
  // them. Flush does nothing: a completed write is in the store. Returns 0, or -EINVAL for a range
  // outside the device or off the sector grid, -EOPNOTSUPP for kUnsupported, -ENOSPC, -EIO. On an
  // error the pages before the failing one are done; the block layer reports the whole request
  // failed.
  int serve(Operation operation, std::uint64_t offset, std::size_t length,
            std::byte* data) noexcept;

  // Whether serve() would wait for the backing device now.
  bool is_slow(Operation operation, std::uint64_t offset, std::size_t length) const noexcept;

 private:
  RequestServer(store::Store& store, std::unique_ptr<store::Store::Session> session);

  store::Store* store_;
  std::unique_ptr<store::Store::Session> session_;
  std::unique_ptr<std::byte[]> page_;  // one page, for reads that want a part of one
};

}  // namespace pleat::device
