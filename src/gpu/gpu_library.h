// SPDX-License-Identifier: MIT OR Apache-2.0
// libpleat-gpu, opened at run time: nothing else of Pleat needs it, or CUDA.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "pleat/pleat_gpu.h"

namespace pleat::gpu {

// Its functions, by their names without pleat_gpu_.
struct GpuLibrary {
  decltype(&pleat_gpu_open) open;
  decltype(&pleat_gpu_close) close;
  decltype(&pleat_gpu_error) error;
  decltype(&pleat_gpu_get_info) get_info;
  decltype(&pleat_gpu_host_register) host_register;
  decltype(&pleat_gpu_host_unregister) host_unregister;
  decltype(&pleat_gpu_compress_host) compress_host;
  decltype(&pleat_gpu_decompress_host) decompress_host;
  decltype(&pleat_gpu_measure) measure;
  decltype(&pleat_gpu_host_alloc) host_alloc;
  decltype(&pleat_gpu_host_free) host_free;
  decltype(&pleat_gpu_device_alloc) device_alloc;
  decltype(&pleat_gpu_device_free) device_free;
  decltype(&pleat_gpu_read) read;
  decltype(&pleat_gpu_write) write;
};

// Opens the library that the environment's PLEAT_GPU_LIBRARY names, else libpleat-gpu.so.0 where
// the system's loader finds it. It stays open. ENOENT where there is none, ENOTSUP where it lacks
// a function, with a line that says what to do.
Result<GpuLibrary> load_gpu_library();

// A GPU for one codec. Not found: as load_gpu_library(); else as pleat_gpu_open().
class Gpu {
 public:
  static Result<Gpu> open(const pleat_gpu_options& options);

  // For calls of the C API that have no method here.
  const GpuLibrary& library() const { return library_; }
  pleat_gpu* get() const { return gpu_.get(); }

  pleat_gpu_info info() const;
  // As the functions of these names. Where compress_host() fails, error() says why.
  int host_register(void* memory, std::size_t bytes);
  void host_unregister(void* memory);
  int compress_host(std::uint32_t count, const void* pages, const pleat_gpu_blocks& blocks);
  const char* error() const;
  // As pleat_gpu_measure(), with the reason of a failure.
  Result<pleat_gpu_rates> measure(std::uint32_t count, const std::byte* pages,
                                  std::uint32_t repeats);

 private:
  struct Close {
    decltype(&pleat_gpu_close) close;
    void operator()(pleat_gpu* gpu) const { close(gpu); }
  };
  Gpu(const GpuLibrary& library, pleat_gpu* gpu) : library_(library), gpu_(gpu, {library.close}) {}

  GpuLibrary library_;
  std::unique_ptr<pleat_gpu, Close> gpu_;
};

}  // namespace pleat::gpu
