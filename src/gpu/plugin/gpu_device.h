// SPDX-License-Identifier: MIT OR Apache-2.0
// The seam to the GPU: what the plug-in asks of CUDA's run-time library, and the kernels. There are
// two implementations of which a program links one: cuda_device.cpp with kernels.cu, and
// emulated_device.cpp, whose device memory is the machine's and whose kernels run in the emulator.
//
// Functions return 0 or an error of CUDA, whose text text_of() is.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu/plugin/batches.h"

namespace pleat::gpu::device {

// A stream of the caller's, in CUDA's form; null is the default one.
using Stream = void*;

struct Properties {
  char name[128];
  unsigned major;
  unsigned minor;
  unsigned multiprocessors;
  std::uint64_t memory_bytes;
  unsigned driver_version;
  bool emulated;
};

const char* text_of(int error);

int count(int* devices);
// Which device this thread's calls mean.
int current(int* number);
int select(int number);
// Brings all kernels to the current device, so that the first call of one allocates nothing.
int load_kernels();
int properties(int number, Properties* out);

int allocate(std::size_t bytes, void** memory);
void release(void* memory);
// Pages that the GPU copies from and to by itself.
int allocate_host(std::size_t bytes, void** memory);
void release_host(void* memory);
// Makes memory such pages that is there already, and ends that.
int register_host(void* memory, std::size_t bytes);
void unregister_host(void* memory);

int create_stream(Stream* stream);
void destroy_stream(Stream stream);
int wait(Stream stream);

// Times in a stream, by the GPU's own clock.
using Event = void*;
int create_event(Event* event);
void destroy_event(Event event);
int record(Event event, Stream stream);
// What is put into the stream from now on waits for the event; the caller waits for it.
int follow(Stream stream, Event event);
int wait_for(Event event);
// Waits for `end`.
int elapsed_ms(Event begin, Event end, float* ms);

// Between any two memories. What is copied from is not to change until the stream has come there.
int copy(void* to, const void* from, std::size_t bytes, Stream stream);
int set(void* memory, int byte, std::size_t bytes, Stream stream);

int compress(Format format, const CompressBatch& batch, Stream stream);
int decompress(Format format, const DecompressBatch& batch, Stream stream);
int features(const FeaturesBatch& batch, Stream stream);
// Packs what compress() left in its slots: see Packing.
int pack(const Packing& packing, Stream stream);

}  // namespace pleat::gpu::device
