// SPDX-License-Identifier: MIT OR Apache-2.0
// The seam to the GPU by CUDA's run-time library, which is linked statically: it asks for the
// driver when the first call is made, and says so where there is none.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>

#include "gpu/plugin/gpu_device.h"

namespace pleat::gpu::device {
namespace {

cudaStream_t of(Stream stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

const char* text_of(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

int count(int* devices) { return cudaGetDeviceCount(devices); }

int select(int number) { return cudaSetDevice(number); }

int properties(int number, Properties* out) {
  cudaDeviceProp found;
  cudaError_t error = cudaGetDeviceProperties(&found, number);
  int driver = 0;
  if (error == cudaSuccess) error = cudaDriverGetVersion(&driver);
  if (error != cudaSuccess) return error;
  *out = {};
  std::memcpy(out->name, found.name, std::min(sizeof(out->name), sizeof(found.name)));
  out->name[sizeof(out->name) - 1] = '\0';
  out->major = static_cast<unsigned>(found.major);
  out->minor = static_cast<unsigned>(found.minor);
  out->multiprocessors = static_cast<unsigned>(found.multiProcessorCount);
  out->memory_bytes = found.totalGlobalMem;
  out->driver_version = static_cast<unsigned>(driver);
  return 0;
}

int allocate(std::size_t bytes, void** memory) { return cudaMalloc(memory, bytes); }
void release(void* memory) { cudaFree(memory); }
int allocate_host(std::size_t bytes, void** memory) {
  return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}
void release_host(void* memory) { cudaFreeHost(memory); }

int create_stream(Stream* stream) {
  cudaStream_t created = nullptr;
  const cudaError_t error = cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking);
  *stream = created;
  return error;
}
void destroy_stream(Stream stream) { cudaStreamDestroy(of(stream)); }
int wait(Stream stream) { return cudaStreamSynchronize(of(stream)); }

int create_event(Event* event) {
  cudaEvent_t created = nullptr;
  const cudaError_t error = cudaEventCreate(&created);
  *event = created;
  return error;
}
void destroy_event(Event event) { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }
int record(Event event, Stream stream) {
  return cudaEventRecord(static_cast<cudaEvent_t>(event), of(stream));
}
int elapsed_ms(Event begin, Event end, float* ms) {
  const cudaError_t error = cudaEventSynchronize(static_cast<cudaEvent_t>(end));
  if (error != cudaSuccess) return error;
  return cudaEventElapsedTime(ms, static_cast<cudaEvent_t>(begin), static_cast<cudaEvent_t>(end));
}

int copy(void* to, const void* from, std::size_t bytes, Stream stream) {
  return bytes == 0 ? 0 : cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, of(stream));
}
int clear(void* memory, std::size_t bytes, Stream stream) {
  return cudaMemsetAsync(memory, 0, bytes, of(stream));
}

}  // namespace pleat::gpu::device
