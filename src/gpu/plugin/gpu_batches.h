// SPDX-License-Identifier: MIT OR Apache-2.0
// Batches of any size on one GPU, cut into parts that its working memory holds. What the C API
// does, behind its checks.
//
// What comes from the machine's memory or goes there crosses the link in parts, each with a stream
// of its own: while one part is worked on, the next is on its way there and the one before on its
// way back.
// Thread safety: one thread at a time. Nothing is allocated after open().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "gpu/plugin/gpu_device.h"

namespace pleat::gpu {

struct GpuOptions {
  Format format = Format::kLine;
  int device = 0;
  std::uint32_t pages = 16384;    // of a part
  std::uint32_t capacity = 3072;  // bytes of a block at most
};

// The compressed side of a batch; in the GPU's memory or in the machine's.
struct Blocks {
  std::byte* blocks;
  std::size_t bytes;
  std::uint32_t* offsets;
  std::uint32_t* sizes;
  BlockKind* kinds;
};

class GpuBatches {
 public:
  // ENODEV, ENOMEM or EIO, with a text that says what to do.
  static Result<std::unique_ptr<GpuBatches>> open(const GpuOptions& options);
  ~GpuBatches();
  GpuBatches(const GpuBatches&) = delete;
  GpuBatches& operator=(const GpuBatches&) = delete;

  const GpuOptions& options() const { return options_; }
  const device::Properties& properties() const { return properties_; }
  const char* error() const { return error_; }

  // All return 0 or fail()'s value, whose reason is error() then. Device to device, in the caller's
  // stream.
  int compress(device::Stream stream, std::uint32_t count, const std::byte* pages,
               const Blocks& blocks, std::uint32_t* used);
  int decompress(device::Stream stream, std::uint32_t count, const Blocks& blocks, std::byte* pages,
                 PageStatus* statuses);
  // Host to host, done on return.
  int compress_host(std::uint32_t count, const std::byte* pages, const Blocks& blocks,
                    std::uint32_t* used);
  int decompress_host(std::uint32_t count, const Blocks& blocks, std::byte* pages,
                      PageStatus* statuses);
  // Host to device, in the caller's stream; waits for that first where a call before used the
  // parts.
  int decompress_to_device(device::Stream stream, std::uint32_t count, const Blocks& blocks,
                           std::byte* pages, PageStatus* statuses);
  // Device to host, done on return; pages are read after what is in the caller's stream so far. A
  // page that does not fit in the capacity is a block of its 4096 bytes. -ENOSPC where the blocks
  // need more than there is: *used says how much.
  int compress_from_device(device::Stream stream, std::uint32_t count, const std::byte* pages,
                           const Blocks& blocks, std::uint32_t* used);
  // Memory that the GPU reaches; null where there is none.
  void* allocate_host(std::size_t bytes);
  int register_host(void* memory, std::size_t bytes);
  void unregister_host(void* memory);
  void* allocate_device(std::size_t bytes);
  // Between the machine's memory and the GPU's, done on return.
  int copy(void* to, const void* from, std::size_t bytes);
  // Device to device.
  int features(device::Stream stream, std::uint32_t count, const std::byte* pages,
               PageFeatures* features);
  int wait(device::Stream stream);
  // Keeps the text of a driver's error; -EIO, -ENOMEM where that was it, 0 for 0.
  int fail(int error);

 private:
  static constexpr unsigned kParts = 3;

  struct Part {
    device::Stream stream = nullptr;
    std::byte* pages = nullptr;  // these in the GPU's memory
    std::byte* slots = nullptr;
    std::byte* blocks = nullptr;
    std::uint32_t* offsets = nullptr;
    std::uint32_t* sizes = nullptr;
    BlockKind* kinds = nullptr;
    PageStatus* statuses = nullptr;
    std::uint32_t* chunks = nullptr;
    std::uint32_t* used = nullptr;
    // In the machine's memory, which the GPU copies from and to by itself.
    std::uint32_t* host_used = nullptr;
    std::uint32_t* host_offsets = nullptr;
    // What is on its way: pages [first, first + count) of the batch, and in compression where its
    // blocks begin.
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::uint32_t base = 0;
  };

  // Every call begins with one of these: what a call before put into a caller's stream no longer
  // uses the working memory when this call does. The second waits.
  int begin_in(device::Stream stream);
  int begin_on_host();
  // And a call that leaves work in a caller's stream ends so, whether all of it is there or not.
  int end_in(device::Stream stream, int result);

  explicit GpuBatches(const GpuOptions& options) : options_(options) {}
  int allocate();
  int wait_for_all();
  // A batch is cut into this many parts; the pages of one of them.
  std::uint32_t parts_of(std::uint32_t count) const;
  Part& take_part(std::uint32_t number, std::uint32_t count);

  int compress_part(const Part& part, device::Stream stream, std::uint32_t count,
                    const std::byte* pages, std::uint32_t raw_size, const Blocks& blocks,
                    std::uint32_t* used);
  enum class Pages { kInHostMemory, kInDeviceMemory };
  int compress_to_host(Pages where, device::Stream stream, std::uint32_t count,
                       const std::byte* pages, const Blocks& blocks, std::uint32_t* used);
  int follow(device::Stream stream);
  int start_compress(Part& part, Pages where, const std::byte* pages);
  int fetch_blocks(Part& part, const Blocks& blocks, std::uint32_t* used);
  int settle_offsets(Part& part, const Blocks& blocks);
  int fetch_pages(const Part& part, const Blocks& blocks, std::byte* pages);
  int send_blocks(Part& part, device::Stream stream, const Blocks& blocks, DecompressBatch* batch);

  GpuOptions options_;
  device::Properties properties_ = {};
  const char* error_ = "";  // a text of the driver's, which stays
  std::array<Part, kParts> parts_;
  device::Event last_ = nullptr;  // the end of the last call in a caller's stream
};

}  // namespace pleat::gpu
