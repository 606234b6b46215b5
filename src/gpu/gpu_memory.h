// SPDX-License-Identifier: MIT OR Apache-2.0
// Memory of a GPU that is read and written as a file is: what `pleat gpu tier` offers.
//
//   caller's bytes <-> staging memory, which the GPU copies from and to by itself <-> its memory
//
// Thread safety: one thread at a time. Nothing is allocated after allocate().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "gpu/gpu_library.h"

namespace pleat::gpu {

class GpuMemory {
 public:
  // What read() and write() copy at most.
  static constexpr std::size_t kTransferBytes = std::size_t{256} << 10;

  // All bytes are zero. ENOMEM where the GPU has not so much free, EIO; else as Gpu::open().
  static Result<GpuMemory> allocate(std::uint32_t device, std::uint64_t bytes);

  GpuMemory(GpuMemory&&) noexcept = default;
  GpuMemory& operator=(GpuMemory&&) = delete;

  std::uint64_t bytes() const { return bytes_; }
  pleat_gpu_info info() const { return gpu_.info(); }

  // Precondition: offset + bytes <= this->bytes(), bytes <= kTransferBytes. 0 or EIO.
  int read(std::uint64_t offset, std::byte* to, std::size_t bytes) noexcept;
  int write(std::uint64_t offset, const std::byte* from, std::size_t bytes) noexcept;

 private:
  struct Free {
    decltype(&pleat_gpu_device_free) free;
    pleat_gpu* gpu;
    void operator()(std::byte* memory) const { free(gpu, memory); }
  };
  using Memory = std::unique_ptr<std::byte, Free>;

  GpuMemory(Gpu gpu, std::uint64_t bytes);
  Result<void> clear();

  // In this order, so that the memory goes before the GPU is closed.
  Gpu gpu_;
  std::uint64_t bytes_;
  Memory device_;
  Memory staging_;
};

}  // namespace pleat::gpu
