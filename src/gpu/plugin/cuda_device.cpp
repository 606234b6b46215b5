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

// An error that has been told is not to be told again by the next launch.
int told(cudaError_t error) {
  if (error != cudaSuccess) (void)cudaGetLastError();
  return error;
}

}  // namespace

const char* text_of(int error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

int count(int* devices) { return told(cudaGetDeviceCount(devices)); }

int current(int* number) { return told(cudaGetDevice(number)); }
int select(int number) { return told(cudaSetDevice(number)); }

int properties(int number, Properties* out) {
  cudaDeviceProp found;
  cudaError_t error = cudaGetDeviceProperties(&found, number);
  int driver = 0;
  if (error == cudaSuccess) error = cudaDriverGetVersion(&driver);
  if (error != cudaSuccess) return told(error);
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

int allocate(std::size_t bytes, void** memory) { return told(cudaMalloc(memory, bytes)); }
void release(void* memory) { cudaFree(memory); }
int allocate_host(std::size_t bytes, void** memory) {
  return told(cudaHostAlloc(memory, bytes, cudaHostAllocDefault));
}
void release_host(void* memory) { cudaFreeHost(memory); }
int register_host(void* memory, std::size_t bytes) {
  return told(cudaHostRegister(memory, bytes, cudaHostRegisterDefault));
}
void unregister_host(void* memory) { told(cudaHostUnregister(memory)); }

int create_stream(Stream* stream) {
  cudaStream_t created = nullptr;
  const cudaError_t error = cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking);
  *stream = created;
  return told(error);
}
void destroy_stream(Stream stream) { cudaStreamDestroy(of(stream)); }
int wait(Stream stream) { return told(cudaStreamSynchronize(of(stream))); }

int create_event(Event* event) {
  cudaEvent_t created = nullptr;
  const cudaError_t error = cudaEventCreate(&created);
  *event = created;
  return told(error);
}
void destroy_event(Event event) { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }
int record(Event event, Stream stream) {
  return told(cudaEventRecord(static_cast<cudaEvent_t>(event), of(stream)));
}
int follow(Stream stream, Event event) {
  return told(cudaStreamWaitEvent(of(stream), static_cast<cudaEvent_t>(event), 0));
}
int wait_for(Event event) { return told(cudaEventSynchronize(static_cast<cudaEvent_t>(event))); }
int elapsed_ms(Event begin, Event end, float* ms) {
  const int error = wait_for(end);
  if (error != 0) return error;
  return told(
      cudaEventElapsedTime(ms, static_cast<cudaEvent_t>(begin), static_cast<cudaEvent_t>(end)));
}

int copy(void* to, const void* from, std::size_t bytes, Stream stream) {
  return bytes == 0 ? 0 : told(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, of(stream)));
}
int set(void* memory, int byte, std::size_t bytes, Stream stream) {
  return told(cudaMemsetAsync(memory, byte, bytes, of(stream)));
}

}  // namespace pleat::gpu::device
