// SPDX-License-Identifier: MIT OR Apache-2.0
// The seam to the GPU where a CPU stands in for one: device memory is the machine's, streams do at
// once what is put into them, and kernels run in the emulator, warp after warp. A kernel that
// breaks a rule of simt.h makes the call fail.
//
// PLEAT_EMULATED_GPU_FAILS=CALL:ERROR in the environment makes a function of this file fail, as
// "count:35" for a machine without a driver: tests see what is said then.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <string_view>

#include "gpu/plugin/gpu_device.h"
#include "gpu/plugin/page_kernels.h"
#include "gpu/simt/emulator.h"

namespace pleat::gpu::device {
namespace {

constexpr int kNoMemory = 2;
constexpr int kBadKernel = 700;  // cudaErrorIllegalAddress

constexpr int kBadHandle = 400;  // cudaErrorInvalidResourceHandle
constexpr int kDevices = 2;
// Of each; a larger allocation fails.
constexpr std::size_t kMemoryBytes = std::size_t{1} << 30;

thread_local int current_device = 0;
std::string kernel_fault;

int failure_of(std::string_view call) {
  const char* const wanted = std::getenv("PLEAT_EMULATED_GPU_FAILS");
  if (wanted == nullptr) return 0;
  const std::string_view text = wanted;
  if (text.size() <= call.size() || !text.starts_with(call) || text[call.size()] != ':') return 0;
  return std::atoi(wanted + call.size() + 1);
}

// The same in a stream, which is of one device: calls that mean another one fail.
int failure_in(Stream stream, std::string_view call) {
  if (stream != nullptr && *static_cast<int*>(stream) != current_device) return kBadHandle;
  return failure_of(call);
}

// Runs `one(warp, number)` for each number below count.
template <typename One>
int run_warps(std::size_t scratch, std::uint32_t count, const One& one) {
  // Its lanes are made once for all launches.
  thread_local std::map<std::size_t, Emulator> emulators;
  Emulator& emulator = emulators.try_emplace(scratch, scratch).first->second;
  for (std::uint32_t number = 0; number < count; ++number) {
    kernel_fault = emulator.run([&](Warp& warp) { one(warp, number); });
    if (!kernel_fault.empty()) return kBadKernel;
  }
  return 0;
}

}  // namespace

const char* text_of(int error) {
  switch (error) {
    case 0:
      return "no error";
    case kNoMemory:
      return "out of memory";
    case 35:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case 100:
      return "no CUDA-capable device is detected";
    case kBadHandle:
      return "invalid resource handle";
    case 209:
      return "no kernel image is available for execution on the device";
    case kBadKernel:
      return kernel_fault.empty() ? "an illegal memory access was encountered"
                                  : kernel_fault.c_str();
    default:
      return "unknown error";
  }
}

int count(int* devices) {
  *devices = kDevices;
  return failure_of("count");
}
int current(int* number) {
  *number = current_device;
  return failure_of("current");
}
int select(int number) {
  current_device = number;
  return failure_of("select");
}
int load_kernels() { return failure_of("load_kernels"); }
int properties(int, Properties* out) {
  *out = {};
  std::snprintf(out->name, sizeof(out->name), "emulator");
  out->major = 9;
  out->multiprocessors = 1;
  out->memory_bytes = kMemoryBytes;
  out->driver_version = 13000;
  out->emulated = true;
  return failure_of("properties");
}

int allocate(std::size_t bytes, void** memory) {
  *memory = nullptr;
  if (const int failed = failure_of("allocate")) return failed;
  if (bytes > kMemoryBytes) return kNoMemory;
  // As cudaMalloc aligns. Noise, which a GPU's memory holds too.
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*memory == nullptr) return kNoMemory;
  std::memset(*memory, 0xD7, bytes);
  return 0;
}
void release(void* memory) { std::free(memory); }
int allocate_host(std::size_t bytes, void** memory) {
  if (const int failed = failure_of("allocate_host")) {
    *memory = nullptr;
    return failed;
  }
  return allocate(bytes, memory);
}
void release_host(void* memory) { std::free(memory); }

int create_stream(Stream* stream) {
  *stream = new (std::nothrow) int(current_device);
  return *stream == nullptr ? kNoMemory : failure_of("create_stream");
}
void destroy_stream(Stream stream) { delete static_cast<int*>(stream); }
int wait(Stream stream) { return failure_in(stream, "wait"); }

using Clock = std::chrono::steady_clock;
int create_event(Event* event) {
  *event = new (std::nothrow) Clock::time_point;
  return *event == nullptr ? kNoMemory : 0;
}
void destroy_event(Event event) { delete static_cast<Clock::time_point*>(event); }
int record(Event event, Stream) {
  *static_cast<Clock::time_point*>(event) = Clock::now();
  return 0;
}
int follow(Stream stream, Event) { return failure_in(stream, "follow"); }
int wait_for(Event) { return failure_of("wait_for"); }
int elapsed_ms(Event begin, Event end, float* ms) {
  const std::chrono::duration<float, std::milli> took =
      *static_cast<Clock::time_point*>(end) - *static_cast<Clock::time_point*>(begin);
  *ms = took.count();
  return 0;
}

int copy(void* to, const void* from, std::size_t bytes, Stream stream) {
  if (bytes != 0) std::memcpy(to, from, bytes);
  return failure_in(stream, "copy");
}
int set(void* memory, int byte, std::size_t bytes, Stream stream) {
  if (bytes != 0) std::memset(memory, byte, bytes);
  return failure_in(stream, "set");
}

int compress(Format format, const CompressBatch& batch, Stream stream) {
  if (const int failed = failure_in(stream, "compress")) return failed;
  const auto run = [&]<typename Codec>(Codec) {
    return run_warps(Codec::kCompressScratch, batch.count, [&](Warp& warp, std::uint32_t page) {
      warp_compress_page<Codec>(warp, batch, page);
    });
  };
  return format == Format::kLine ? run(LineCodec{}) : run(Lz4Codec{});
}

int decompress(Format format, const DecompressBatch& batch, Stream stream) {
  if (const int failed = failure_in(stream, "decompress")) return failed;
  const auto run = [&]<typename Codec>(Codec) {
    return run_warps(Codec::kDecompressScratch, batch.count, [&](Warp& warp, std::uint32_t page) {
      warp_decompress_page<Codec>(warp, batch, page);
    });
  };
  switch (format) {
    case Format::kLine:
      return run(LineCodec{});
    case Format::kLz4Plain:
      return run(Lz4PlainCodec{});
    default:
      return run(Lz4Codec{});
  }
}

int features(const FeaturesBatch& batch, Stream stream) {
  if (const int failed = failure_in(stream, "features")) return failed;
  return run_warps(kPageLookScratch, batch.count, [&](Warp& warp, std::uint32_t page) {
    warp_page_features(warp, batch.pages + std::size_t{kPageBytes} * page, batch.features + page);
  });
}

int pack(const Packing& packing, Stream stream) {
  if (const int failed = failure_in(stream, "pack")) return failed;
  const std::uint32_t chunks = packing.chunk_count();
  int error = run_warps(
      0, chunks, [&](Warp& warp, std::uint32_t chunk) { warp_sum_chunk(warp, packing, chunk); });
  if (error == 0) {
    error = run_warps(0, 1, [&](Warp& warp, std::uint32_t) { warp_scan_chunks(warp, packing); });
  }
  if (error == 0) {
    error = run_warps(0, chunks, [&](Warp& warp, std::uint32_t chunk) {
      warp_place_chunk(warp, packing, chunk);
    });
  }
  if (error == 0) {
    error = run_warps(0, packing.count, [&](Warp& warp, std::uint32_t page) {
      warp_move_block(warp, packing, page);
    });
  }
  return error;
}

}  // namespace pleat::gpu::device
