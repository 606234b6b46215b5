// SPDX-License-Identifier: MIT OR Apache-2.0
#include "gpu/gpu_memory.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/units.h"

namespace pleat::gpu {
namespace {

std::byte* as_bytes(void* memory) { return static_cast<std::byte*>(memory); }

}  // namespace

GpuMemory::GpuMemory(Gpu gpu, std::uint64_t bytes)
    : gpu_(std::move(gpu)),
      bytes_(bytes),
      device_(as_bytes(gpu_.library().device_alloc(gpu_.get(), bytes)),
              {gpu_.library().device_free, gpu_.get()}),
      staging_(as_bytes(gpu_.library().host_alloc(gpu_.get(), kTransferBytes)),
               {gpu_.library().host_free, gpu_.get()}) {}

Result<GpuMemory> GpuMemory::allocate(std::uint32_t device, std::uint64_t bytes) {
  // Nothing is compressed, so that the least of working memory will do.
  auto gpu = Gpu::open({.size = sizeof(pleat_gpu_options),
                        .codec = "line",
                        .device = device,
                        .pages = 1,
                        .capacity = 0});
  if (!gpu && gpu.error().code == ENOMEM) {
    return Error{ENOMEM, "GPU " + std::to_string(device) + " has no memory free"};
  }
  if (!gpu) return std::move(gpu).error();
  GpuMemory memory(*std::move(gpu), bytes);
  const GpuLibrary& library = memory.gpu_.library();
  if (!memory.device_) {
    return Error{ENOMEM, "GPU " + std::to_string(device) + " has not " + format_size(bytes) +
                             " of its " + format_size(memory.info().memory_bytes) + " free: " +
                             library.error(memory.gpu_.get()) + "; choose a smaller size"};
  }
  if (!memory.staging_) {
    return Error{ENOMEM, std::string("no memory that the GPU copies from: ") +
                             library.error(memory.gpu_.get())};
  }
  if (auto cleared = memory.clear(); !cleared) return std::move(cleared).error();
  return memory;
}

// What others have left there is not for whoever reads it next.
Result<void> GpuMemory::clear() {
  std::memset(staging_.get(), 0, kTransferBytes);
  for (std::uint64_t at = 0; at < bytes_; at += kTransferBytes) {
    const int result = gpu_.library().write(gpu_.get(), device_.get() + at, staging_.get(),
                                            std::min<std::uint64_t>(kTransferBytes, bytes_ - at));
    if (result != 0) {
      return Error{-result, std::string("cannot clear the GPU's memory: ") +
                                gpu_.library().error(gpu_.get())};
    }
  }
  return {};
}

int GpuMemory::read(std::uint64_t offset, std::byte* to, std::size_t bytes) noexcept {
  if (gpu_.library().read(gpu_.get(), staging_.get(), device_.get() + offset, bytes) != 0) {
    return EIO;
  }
  std::memcpy(to, staging_.get(), bytes);
  return 0;
}

int GpuMemory::write(std::uint64_t offset, const std::byte* from, std::size_t bytes) noexcept {
  std::memcpy(staging_.get(), from, bytes);
  return gpu_.library().write(gpu_.get(), device_.get() + offset, staging_.get(), bytes) == 0 ? 0
                                                                                              : EIO;
}

}  // namespace pleat::gpu
