// SPDX-License-Identifier: MIT OR Apache-2.0
#include "gpu/gpu_library.h"

#include <dlfcn.h>

#include <cerrno>
#include <cstdlib>

namespace pleat::gpu {
namespace {

constexpr const char* kLibrary = "libpleat-gpu.so.0";

}  // namespace

Result<GpuLibrary> load_gpu_library() {
  const char* const chosen = std::getenv("PLEAT_GPU_LIBRARY");
  const char* const path = chosen != nullptr ? chosen : kLibrary;
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Error{ENOENT, std::string("no GPU is used: ") + dlerror() +
                             "; build it where CUDA's nvcc is (docs/gpu.md)"};
  }
  GpuLibrary functions = {};
  std::string missing;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) missing = name;
  };
  find(functions.open, "pleat_gpu_open");
  find(functions.close, "pleat_gpu_close");
  find(functions.error, "pleat_gpu_error");
  find(functions.get_info, "pleat_gpu_get_info");
  find(functions.host_register, "pleat_gpu_host_register");
  find(functions.host_unregister, "pleat_gpu_host_unregister");
  find(functions.compress_host, "pleat_gpu_compress_host");
  find(functions.decompress_host, "pleat_gpu_decompress_host");
  find(functions.measure, "pleat_gpu_measure");
  find(functions.host_alloc, "pleat_gpu_host_alloc");
  find(functions.host_free, "pleat_gpu_host_free");
  find(functions.device_alloc, "pleat_gpu_device_alloc");
  find(functions.device_free, "pleat_gpu_device_free");
  find(functions.read, "pleat_gpu_read");
  find(functions.write, "pleat_gpu_write");
  if (!missing.empty()) {
    return Error{ENOTSUP, std::string(path) + " lacks " + missing +
                              ": it is of another version of Pleat, or no GPU library"};
  }
  return functions;
}

Result<Gpu> Gpu::open(const pleat_gpu_options& options) {
  Result<GpuLibrary> library = load_gpu_library();
  if (!library) return std::move(library).error();
  pleat_gpu* gpu = nullptr;
  const char* text = "";
  const int result = library->open(&options, &gpu, &text);
  if (result != 0) return Error{-result, std::string("no GPU is used: ") + text};
  return Gpu(*library, gpu);
}

pleat_gpu_info Gpu::info() const {
  pleat_gpu_info info = {};
  info.size = sizeof(info);
  (void)library_.get_info(gpu_.get(), &info);
  return info;
}

int Gpu::host_register(void* memory, std::size_t bytes) {
  return library_.host_register(gpu_.get(), memory, bytes);
}

void Gpu::host_unregister(void* memory) { library_.host_unregister(gpu_.get(), memory); }

int Gpu::compress_host(std::uint32_t count, const void* pages, const pleat_gpu_blocks& blocks) {
  std::uint32_t used = 0;
  return library_.compress_host(gpu_.get(), count, pages, &blocks, &used);
}

const char* Gpu::error() const { return library_.error(gpu_.get()); }

Result<pleat_gpu_rates> Gpu::measure(std::uint32_t count, const std::byte* pages,
                                     std::uint32_t repeats) {
  pleat_gpu_rates rates = {};
  rates.size = sizeof(rates);
  const int result = library_.measure(gpu_.get(), count, pages, repeats, &rates);
  if (result == -EBADMSG) {
    return Error{EBADMSG,
                 "the GPU returned a page that is not the one it was given; do not use it"};
  }
  if (result != 0) {
    return Error{-result, std::string("measuring the GPU failed: ") + error()};
  }
  return rates;
}

}  // namespace pleat::gpu
