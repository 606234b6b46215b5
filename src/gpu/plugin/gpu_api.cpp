// SPDX-License-Identifier: MIT OR Apache-2.0
// libpleat-gpu's C API: checks of arguments in front of GpuBatches. No exception leaves it.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "gpu/plugin/gpu_batches.h"
#include "gpu/plugin/gpu_measure.h"
#include "pleat/pleat_gpu.h"

struct pleat_gpu {
  std::unique_ptr<pleat::gpu::GpuBatches> batches;
};

namespace {

using pleat::gpu::BlockKind;
using pleat::gpu::Blocks;
using pleat::gpu::Format;
using pleat::gpu::PageStatus;

static_assert(static_cast<int>(BlockKind::kBlock) == PLEAT_GPU_BLOCK);
static_assert(static_cast<int>(BlockKind::kSame) == PLEAT_GPU_SAME);
static_assert(static_cast<int>(BlockKind::kRaw) == PLEAT_GPU_RAW);
static_assert(static_cast<int>(PageStatus::kOk) == PLEAT_GPU_OK);
static_assert(static_cast<int>(PageStatus::kCorrupt) == PLEAT_GPU_CORRUPT);
static_assert(static_cast<int>(PageStatus::kTooLarge) == PLEAT_GPU_TOO_LARGE);
static_assert(static_cast<int>(PageStatus::kNoBlock) == PLEAT_GPU_NO_BLOCK);

constexpr std::uint32_t kCapacityDefault = 3072;
// Callers that know fewer rates get fewer.
constexpr std::size_t kRatesSizeMin = offsetof(pleat_gpu_rates, compress_from_device);

// The text of the last pleat_gpu_open() that failed on this thread.
thread_local std::string open_error;

int open_failed(int code, std::string text, const char** error) {
  open_error = std::move(text);
  if (error != nullptr) *error = open_error.c_str();
  return -code;
}

template <std::size_t kTo = pleat::gpu::kUnitBytes>
bool aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % kTo == 0;
}

bool usable(const pleat_gpu* gpu, std::uint32_t count, const pleat_gpu_blocks* blocks,
            const void* pages) {
  return gpu != nullptr && blocks != nullptr && blocks->offsets != nullptr &&
         blocks->sizes != nullptr && aligned<4>(blocks->offsets) && aligned<4>(blocks->sizes) &&
         blocks->kinds != nullptr && aligned(blocks->blocks) &&
         blocks->bytes % pleat::gpu::kUnitBytes == 0 &&
         (blocks->blocks != nullptr || blocks->bytes == 0) && aligned(pages) &&
         (pages != nullptr || count == 0);
}

// Whether offsets reach the last block where each has so many bytes.
bool within_reach(std::uint32_t count, std::uint32_t block_bytes, const std::uint32_t* used) {
  return std::uint64_t{count} * block_bytes / pleat::gpu::kUnitBytes <= 0xFFFFFFFF &&
         used != nullptr && aligned<4>(used);
}

bool can_compress(const pleat_gpu* gpu, std::uint32_t count, const pleat_gpu_blocks* blocks,
                  const std::uint32_t* used) {
  const std::uint32_t capacity = gpu->batches->options().capacity;
  return blocks->bytes >= std::uint64_t{count} * capacity && within_reach(count, capacity, used);
}

const std::byte* bytes(const void* pointer) { return static_cast<const std::byte*>(pointer); }
std::byte* bytes(void* pointer) { return static_cast<std::byte*>(pointer); }

Blocks blocks_of(const pleat_gpu_blocks& blocks) {
  return {.blocks = bytes(blocks.blocks),
          .bytes = blocks.bytes,
          .offsets = blocks.offsets,
          .sizes = blocks.sizes,
          .kinds = reinterpret_cast<BlockKind*>(blocks.kinds)};
}

PageStatus* statuses_of(std::uint8_t* statuses) { return reinterpret_cast<PageStatus*>(statuses); }

}  // namespace

extern "C" {

int pleat_gpu_open(const pleat_gpu_options* options, pleat_gpu** out, const char** error) {
  if (error != nullptr) *error = "";
  if (out == nullptr) return -EINVAL;
  *out = nullptr;
  try {
    if (options == nullptr || options->size < sizeof(*options) || options->codec == nullptr) {
      return open_failed(EINVAL, "no options, or options of another version", error);
    }
    const std::string_view codec = options->codec;
    pleat::gpu::GpuOptions checked;
    checked.device = static_cast<int>(std::min<std::uint32_t>(options->device, 0x7FFFFFFF));
    checked.pages = options->pages;
    checked.capacity = options->capacity == 0 ? kCapacityDefault : options->capacity;
    if (codec == "line") {
      checked.format = Format::kLine;
    } else if (codec == "lz4") {
      checked.format = Format::kLz4;
    } else if (codec == "lz4,decoder=plain") {
      checked.format = Format::kLz4Plain;
    } else {
      return open_failed(
          EINVAL, "a GPU has the codecs line, lz4 and lz4,decoder=plain, not " + std::string(codec),
          error);
    }
    if (checked.pages == 0 || checked.pages > pleat::gpu::kBatchPagesMax) {
      return open_failed(EINVAL, "pages has to be from 1 to 1048576", error);
    }
    if (checked.capacity % 16 != 0 || checked.capacity > pleat::gpu::kPageBytes) {
      return open_failed(EINVAL, "capacity has to be a multiple of 16, at most 4096", error);
    }
    auto batches = pleat::gpu::GpuBatches::open(checked);
    if (!batches) return open_failed(batches.error().code, batches.error().message, error);
    *out = new pleat_gpu{std::move(*batches)};
    return 0;
  } catch (const std::bad_alloc&) {
    if (error != nullptr) *error = "no memory";
    return -ENOMEM;
  }
}

void pleat_gpu_close(pleat_gpu* gpu) { delete gpu; }

const char* pleat_gpu_error(const pleat_gpu* gpu) {
  return gpu == nullptr ? "" : gpu->batches->error();
}

int pleat_gpu_get_info(const pleat_gpu* gpu, pleat_gpu_info* info) {
  if (gpu == nullptr || info == nullptr || info->size < sizeof(*info)) return -EINVAL;
  const auto& properties = gpu->batches->properties();
  static_assert(sizeof(info->name) == sizeof(properties.name));
  std::memcpy(info->name, properties.name, sizeof(info->name));
  info->compute_major = properties.major;
  info->compute_minor = properties.minor;
  info->multiprocessors = properties.multiprocessors;
  info->memory_bytes = properties.memory_bytes;
  info->driver_version = properties.driver_version;
  info->emulated = properties.emulated ? 1 : 0;
  return 0;
}

void* pleat_gpu_host_alloc(pleat_gpu* gpu, size_t size) {
  return gpu == nullptr ? nullptr : gpu->batches->allocate_host(size);
}

void pleat_gpu_host_free(pleat_gpu*, void* memory) { pleat::gpu::device::release_host(memory); }

int pleat_gpu_host_register(pleat_gpu* gpu, void* memory, size_t size) {
  if (gpu == nullptr || memory == nullptr || size == 0) return -EINVAL;
  return gpu->batches->register_host(memory, size);
}

void pleat_gpu_host_unregister(pleat_gpu* gpu, void* memory) {
  if (gpu != nullptr && memory != nullptr) gpu->batches->unregister_host(memory);
}

void* pleat_gpu_device_alloc(pleat_gpu* gpu, size_t size) {
  return gpu == nullptr ? nullptr : gpu->batches->allocate_device(size);
}

void pleat_gpu_device_free(pleat_gpu*, void* memory) { pleat::gpu::device::release(memory); }

int pleat_gpu_read(pleat_gpu* gpu, void* host, const void* device, size_t size) {
  if (gpu == nullptr || (size != 0 && (host == nullptr || device == nullptr))) return -EINVAL;
  return gpu->batches->copy(host, device, size);
}

int pleat_gpu_write(pleat_gpu* gpu, void* device, const void* host, size_t size) {
  if (gpu == nullptr || (size != 0 && (host == nullptr || device == nullptr))) return -EINVAL;
  return gpu->batches->copy(device, host, size);
}

int pleat_gpu_compress(pleat_gpu* gpu, void* stream, uint32_t count, const void* pages,
                       const pleat_gpu_blocks* blocks, uint32_t* used) {
  if (!usable(gpu, count, blocks, pages) || !can_compress(gpu, count, blocks, used)) {
    return -EINVAL;
  }
  return gpu->batches->compress(stream, count, bytes(pages), blocks_of(*blocks), used);
}

int pleat_gpu_decompress(pleat_gpu* gpu, void* stream, uint32_t count,
                         const pleat_gpu_blocks* blocks, void* pages, uint8_t* statuses) {
  if (!usable(gpu, count, blocks, pages) || statuses == nullptr) return -EINVAL;
  return gpu->batches->decompress(stream, count, blocks_of(*blocks), bytes(pages),
                                  statuses_of(statuses));
}

int pleat_gpu_compress_host(pleat_gpu* gpu, uint32_t count, const void* pages,
                            const pleat_gpu_blocks* blocks, uint32_t* used) {
  if (!usable(gpu, count, blocks, pages) || !can_compress(gpu, count, blocks, used)) {
    return -EINVAL;
  }
  return gpu->batches->compress_host(count, bytes(pages), blocks_of(*blocks), used);
}

int pleat_gpu_decompress_host(pleat_gpu* gpu, uint32_t count, const pleat_gpu_blocks* blocks,
                              void* pages, uint8_t* statuses) {
  if (!usable(gpu, count, blocks, pages) || statuses == nullptr) return -EINVAL;
  return gpu->batches->decompress_host(count, blocks_of(*blocks), bytes(pages),
                                       statuses_of(statuses));
}

int pleat_gpu_decompress_to_device(pleat_gpu* gpu, void* stream, uint32_t count,
                                   const pleat_gpu_blocks* blocks, void* pages, uint8_t* statuses) {
  if (!usable(gpu, count, blocks, pages) || statuses == nullptr) return -EINVAL;
  return gpu->batches->decompress_to_device(stream, count, blocks_of(*blocks), bytes(pages),
                                            statuses_of(statuses));
}

int pleat_gpu_compress_from_device(pleat_gpu* gpu, void* stream, uint32_t count, const void* pages,
                                   const pleat_gpu_blocks* blocks, uint32_t* used) {
  if (!usable(gpu, count, blocks, pages) || !within_reach(count, pleat::gpu::kPageBytes, used)) {
    return -EINVAL;
  }
  return gpu->batches->compress_from_device(stream, count, bytes(pages), blocks_of(*blocks), used);
}

int pleat_gpu_measure(pleat_gpu* gpu, uint32_t count, const void* pages, uint32_t repeats,
                      pleat_gpu_rates* rates) {
  if (gpu == nullptr || count == 0 || pages == nullptr || repeats == 0 || rates == nullptr ||
      rates->size < kRatesSizeMin) {
    return -EINVAL;
  }
  try {
    pleat::gpu::GpuMeasurement measured;
    const int result = pleat::gpu::measure(*gpu->batches, count, bytes(pages), repeats, &measured);
    if (result != 0) return result;
    const pleat_gpu_rates all = {.size = rates->size,
                                 .to_device = measured.to_device,
                                 .from_device = measured.from_device,
                                 .compress = measured.compress,
                                 .decompress = measured.decompress,
                                 .compress_host = measured.compress_host,
                                 .decompress_host = measured.decompress_host,
                                 .latency_us = measured.latency_us,
                                 .ratio = measured.ratio,
                                 .raw = measured.raw,
                                 .same = measured.same,
                                 .compress_from_device = measured.compress_from_device,
                                 .decompress_to_device = measured.decompress_to_device};
    std::memcpy(rates, &all, std::min(rates->size, sizeof(all)));
    return 0;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

int pleat_gpu_features(pleat_gpu* gpu, void* stream, uint32_t count, const void* pages,
                       pleat_gpu_page_features* features) {
  static_assert(sizeof(pleat_gpu_page_features) == sizeof(pleat::gpu::PageFeatures));
  if (gpu == nullptr || !aligned(pages) ||
      (count != 0 && (pages == nullptr || features == nullptr)) || !aligned<8>(features)) {
    return -EINVAL;
  }
  return gpu->batches->features(stream, count, bytes(pages),
                                reinterpret_cast<pleat::gpu::PageFeatures*>(features));
}

int pleat_gpu_wait(pleat_gpu* gpu, void* stream) {
  return gpu == nullptr ? -EINVAL : gpu->batches->wait(stream);
}

}  // extern "C"
