// SPDX-License-Identifier: MIT OR Apache-2.0
// The seam to the GPU where a CPU stands in for one: device memory is the machine's, and kernels
// run in the emulator, warp after warp. A kernel that breaks a rule of simt.h makes the next wait
// fail.
//
// Streams do what is put into them when somebody waits for it (emulated_stream.h);
// PLEAT_EMULATED_GPU_STREAMS=at-once in the environment has them do it at once.
// PLEAT_EMULATED_GPU_FAILS=CALL:ERROR makes a function of this file fail, as "count:35" for a
// machine without a driver: tests see what is said then. CALL:ERROR:N lets N calls of it succeed
// first.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gpu/plugin/emulated_stream.h"
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
// What went wrong in a stream, until a wait has told it.
int late_error = 0;
EmulatedStream default_streams[kDevices] = {EmulatedStream(0), EmulatedStream(1)};
std::vector<EmulatedStream*> streams = {&default_streams[0], &default_streams[1]};

EmulatedStream& of(Stream stream) {
  return stream == nullptr ? default_streams[current_device]
                           : *static_cast<EmulatedStream*>(stream);
}
EmulatedEvent& event_of(Event event) { return *static_cast<EmulatedEvent*>(event); }

int failure_of(std::string_view call) {
  const char* const wanted = std::getenv("PLEAT_EMULATED_GPU_FAILS");
  if (wanted == nullptr) return 0;
  const std::string_view text = wanted;
  if (text.size() <= call.size() || !text.starts_with(call) || text[call.size()] != ':') return 0;
  // Counted anew for each text.
  static std::string counted;
  static unsigned long calls;
  if (counted != text) {
    counted = text;
    calls = 0;
  }
  char* end = nullptr;
  const long error = std::strtol(wanted + call.size() + 1, &end, 10);
  const unsigned long succeed = *end == ':' ? std::strtoul(end + 1, nullptr, 10) : 0;
  return calls++ < succeed ? 0 : static_cast<int>(error);
}

// The same in a stream, which is of one device: calls that mean another one fail.
int failure_in(Stream stream, std::string_view call) {
  return of(stream).device() != current_device ? kBadHandle : failure_of(call);
}

// Puts work, which returns 0 or an error, into a stream.
int put(Stream stream, std::string_view call, std::function<int()> work) {
  if (const int failed = failure_in(stream, call)) return failed;
  of(stream).put([work = std::move(work)] {
    const int error = work();
    if (late_error == 0) late_error = error;
  });
  const char* const when = std::getenv("PLEAT_EMULATED_GPU_STREAMS");
  if (when != nullptr && std::string_view(when) == "at-once") of(stream).finish();
  return 0;
}

// What a wait says.
int waited(int failure) {
  const int late = std::exchange(late_error, 0);
  return failure != 0 ? failure : late;
}

// As cudaFree does, before memory is gone.
void finish_all() {
  for (EmulatedStream* stream : streams) stream->finish();
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
void release(void* memory) {
  finish_all();
  std::free(memory);
}
int allocate_host(std::size_t bytes, void** memory) {
  if (const int failed = failure_of("allocate_host")) {
    *memory = nullptr;
    return failed;
  }
  return allocate(bytes, memory);
}
void release_host(void* memory) { release(memory); }
int register_host(void*, std::size_t) { return failure_of("register_host"); }
void unregister_host(void*) {}

int create_stream(Stream* stream) {
  *stream = nullptr;
  if (const int failed = failure_of("create_stream")) return failed;
  auto* const created = new EmulatedStream(current_device);
  streams.push_back(created);
  *stream = created;
  return 0;
}
void destroy_stream(Stream stream) {
  of(stream).finish();
  std::erase(streams, &of(stream));
  delete &of(stream);
}
int wait(Stream stream) {
  of(stream).finish();
  return waited(failure_in(stream, "wait"));
}

int create_event(Event* event) {
  *event = new EmulatedEvent;
  return failure_of("create_event");
}
void destroy_event(Event event) { delete &event_of(event); }
int record(Event event, Stream stream) {
  if (const int failed = failure_in(stream, "record")) return failed;
  event_of(event).record(of(stream));
  return 0;
}
int follow(Stream stream, Event event) {
  if (const int failed = failure_in(stream, "follow")) return failed;
  event_of(event).hold_back(of(stream));
  return 0;
}
int wait_for(Event event) {
  event_of(event).wait();
  return waited(failure_of("wait_for"));
}
int elapsed_ms(Event begin, Event end, float* ms) {
  event_of(end).wait();
  const std::chrono::duration<float, std::milli> took =
      event_of(end).time() - event_of(begin).time();
  *ms = took.count();
  return waited(0);
}

int copy(void* to, const void* from, std::size_t bytes, Stream stream) {
  return put(stream, "copy", [=] {
    if (bytes != 0) std::memcpy(to, from, bytes);
    return 0;
  });
}
int set(void* memory, int byte, std::size_t bytes, Stream stream) {
  return put(stream, "set", [=] {
    if (bytes != 0) std::memset(memory, byte, bytes);
    return 0;
  });
}

int compress(Format format, const CompressBatch& batch, Stream stream) {
  return put(stream, "compress", [=] {
    const auto run = [&]<typename Codec>(Codec) {
      return run_warps(Codec::kCompressScratch, batch.count, [&](Warp& warp, std::uint32_t page) {
        warp_compress_page<Codec>(warp, batch, page);
      });
    };
    return format == Format::kLine ? run(LineCodec{}) : run(Lz4Codec{});
  });
}

int decompress(Format format, const DecompressBatch& batch, Stream stream) {
  return put(stream, "decompress", [=] {
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
  });
}

int features(const FeaturesBatch& batch, Stream stream) {
  return put(stream, "features", [=] {
    return run_warps(kPageLookScratch, batch.count, [&](Warp& warp, std::uint32_t page) {
      warp_page_features(warp, batch.pages + std::size_t{kPageBytes} * page, batch.features + page);
    });
  });
}

int pack(const Packing& packing, Stream stream) {
  return put(stream, "pack", [=] {
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
  });
}

}  // namespace pleat::gpu::device
