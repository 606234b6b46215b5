// SPDX-License-Identifier: MIT OR Apache-2.0
// Batches of pages that another process compresses for the daemon: memory that both have, and a
// socket by which they take turns (docs/control.md).
//
//   daemon: pages put there -> {count} -> client: compressed -> {errno} -> daemon: blocks taken
//
// The daemon believes nothing of what it finds in the memory: it can be changed at any moment, but
// not be cut short, since it is sealed.
//
// Thread safety: each side one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/page.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "codec/batch_compressor.h"

namespace pleat::control {

inline constexpr std::uint32_t kBatchPagesMax = 65'536;

// A mapping of the memory, of `pages` pages and as many blocks: the pages, then the blocks, then
// for each page where its block begins and its size, in bytes. A size of 0 is no block.
class BatchMemory {
 public:
  // 1 to kBatchPagesMax pages.
  static Result<BatchMemory> create(std::uint32_t pages);
  // Maps what another process has made: EINVAL where it has not the size for so many pages, or is
  // not sealed against getting smaller.
  static Result<BatchMemory> attach(int fd, std::uint32_t pages);
  BatchMemory(BatchMemory&& other) noexcept;
  BatchMemory& operator=(BatchMemory&&) = delete;
  ~BatchMemory();

  int fd() const noexcept { return fd_.get(); }  // of create()
  std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_of(pages_); }
  std::uint32_t pages() const noexcept { return pages_; }
  std::byte* page(std::size_t i) const noexcept { return data_ + i * kPageSize; }
  // Room for all blocks, pages() * kPageSize bytes.
  std::byte* blocks() const noexcept { return page(pages_); }
  std::uint32_t* offsets() const noexcept {
    return reinterpret_cast<std::uint32_t*>(blocks() + std::size_t{pages_} * kPageSize);
  }
  std::uint32_t* sizes() const noexcept { return offsets() + pages_; }

 private:
  BatchMemory(UniqueFd fd, std::byte* data, std::uint32_t pages)
      : fd_(std::move(fd)), data_(data), pages_(pages) {}
  static Result<BatchMemory> map(UniqueFd fd, int mapped_fd, std::uint32_t pages);
  static std::size_t bytes_of(std::uint32_t pages) {
    return std::size_t{pages} * (2 * kPageSize + 2 * sizeof(std::uint32_t));
  }

  UniqueFd fd_;
  std::byte* data_;
  std::uint32_t pages_;
};

// The daemon's side. Nothing is allocated after construction.
class RemoteBatches final : public codec::BatchCompressor {
 public:
  // A GPU takes about a millisecond; one that is gone from the bus lets its callers hang.
  static constexpr unsigned kTimeout_ms = 10'000;

  // `socket`: a SOCK_SEQPACKET, whose other end's owner compresses.
  RemoteBatches(BatchMemory memory, int socket, codec::CodecId codec,
                unsigned timeout_ms = kTimeout_ms)
      : memory_(std::move(memory)), socket_(socket), codec_(codec), timeout_ms_(timeout_ms) {}

  codec::CodecId codec() const noexcept override { return codec_; }
  std::size_t pages_max() const noexcept override { return memory_.pages(); }
  std::byte* page(std::size_t i) noexcept override { return memory_.page(i); }
  // ETIMEDOUT, ECONNRESET where nobody compresses any more, EPROTO for an answer that is
  // none, and whatever the client says.
  int compress(std::size_t count) noexcept override;
  std::size_t take_block(std::size_t i, std::byte* dst, std::size_t capacity) noexcept override;

 private:
  BatchMemory memory_;
  int socket_;
  codec::CodecId codec_;
  unsigned timeout_ms_;
};

// The client's side: calls `compress`, which returns 0 or an errno, for each batch that comes,
// until the socket is shut down, which is an answer to whoever waits. EPROTO for a message that is
// none.
Result<void> serve_batches(int socket, std::uint32_t pages_max,
                           const std::function<int(std::uint32_t count)>& compress);

}  // namespace pleat::control
