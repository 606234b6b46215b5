// SPDX-License-Identifier: MIT OR Apache-2.0
#include "gpu/plugin/gpu_batches.h"

#include <algorithm>
#include <cerrno>
#include <limits>

namespace pleat::gpu {
namespace {

// CUDA's numbers (cudaErrorInsufficientDriver, cudaErrorNoDevice, cudaErrorMemoryAllocation).
constexpr int kNoDriver = 35;
constexpr int kNoDevice = 100;
constexpr int kNoMemory = 2;
constexpr int kNoKernel = 209;  // cudaErrorNoKernelImageForDevice

// The GPU that calls of this thread mean, for as long as this lives.
class OnDevice {
 public:
  explicit OnDevice(int number) : error_(device::current(&before_)) {
    if (error_ == 0) error_ = device::select(number);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() {
    if (error_ == 0) (void)device::select(before_);
  }

 private:
  int before_ = 0;
  int error_;
};

template <typename T>
int allocate_array(std::size_t count, T** out) {
  void* memory = nullptr;
  const int error = device::allocate(count * sizeof(T), &memory);
  *out = static_cast<T*>(memory);
  return error;
}
template <typename T>
int allocate_host_array(std::size_t count, T** out) {
  void* memory = nullptr;
  const int error = device::allocate_host(count * sizeof(T), &memory);
  *out = static_cast<T*>(memory);
  return error;
}

template <typename T>
int copy_array(T* to, const T* from, std::size_t count, device::Stream stream) {
  return device::copy(to, from, count * sizeof(T), stream);
}

}  // namespace

Result<std::unique_ptr<GpuBatches>> GpuBatches::open(const GpuOptions& options) {
  int count = 0;
  const int error = device::count(&count);
  if (error == kNoDriver) {
    return Error{ENODEV,
                 std::string("NVIDIA's driver is missing or too old: ") + device::text_of(error)};
  }
  if (error == kNoDevice || (error == 0 && count == 0)) {
    return Error{ENODEV, "there is no GPU that CUDA can use"};
  }
  if (error != 0) return Error{ENODEV, device::text_of(error)};
  if (options.device < 0 || options.device >= count) {
    return Error{ENODEV, "there is no GPU " + std::to_string(options.device) + ", but " +
                             std::to_string(count) + ", counted from 0"};
  }
  std::unique_ptr<GpuBatches> batches(new GpuBatches(options));
  const int failed = batches->allocate();
  if (failed == kNoMemory) {
    return Error{ENOMEM, "the GPU has no memory for parts of " + std::to_string(options.pages) +
                             " pages; ask for fewer"};
  }
  if (failed == kNoKernel) {
    return Error{ENODEV, std::string("libpleat-gpu has no kernels for this GPU, ") +
                             batches->properties_.name};
  }
  if (failed != 0) return Error{EIO, device::text_of(failed)};
  return batches;
}

int GpuBatches::allocate() {
  const OnDevice on(options_.device);
  const std::size_t pages = options_.pages;
  const std::size_t chunks = pages / kChunkPages + 1;
  int error = device::properties(options_.device, &properties_);
  if (error == 0) error = device::load_kernels();
  if (error == 0) error = device::create_event(&last_);
  for (Part& part : parts_) {
    const auto next = [&](int result) { return error != 0 ? error : error = result; };
    if (next(0) != 0) break;
    next(device::create_stream(&part.stream));
    if (next(0) == 0) next(allocate_array(pages * kPageBytes, &part.pages));
    if (next(0) == 0) next(allocate_array(pages * options_.capacity, &part.slots));
    if (next(0) == 0) next(allocate_array(pages * kPageBytes, &part.blocks));
    if (next(0) == 0) next(allocate_array(pages, &part.offsets));
    if (next(0) == 0) next(allocate_array(pages, &part.sizes));
    if (next(0) == 0) next(allocate_array(pages, &part.kinds));
    if (next(0) == 0) next(allocate_array(pages, &part.statuses));
    if (next(0) == 0) next(allocate_array(chunks, &part.chunks));
    if (next(0) == 0) next(allocate_array(1, &part.used));
    if (next(0) == 0) next(allocate_host_array(1, &part.host_used));
    if (next(0) == 0) next(allocate_host_array(pages, &part.host_offsets));
  }
  return error;
}

GpuBatches::~GpuBatches() {
  const OnDevice on(options_.device);
  if (last_ != nullptr) {
    (void)begin_on_host();
    device::destroy_event(last_);
  }
  for (Part& part : parts_) {
    if (part.stream != nullptr) {
      (void)device::wait(part.stream);
      device::destroy_stream(part.stream);
    }
    for (void* memory : {static_cast<void*>(part.pages), static_cast<void*>(part.slots),
                         static_cast<void*>(part.blocks), static_cast<void*>(part.offsets),
                         static_cast<void*>(part.sizes), static_cast<void*>(part.kinds),
                         static_cast<void*>(part.statuses), static_cast<void*>(part.chunks),
                         static_cast<void*>(part.used)}) {
      device::release(memory);
    }
    device::release_host(part.host_used);
    device::release_host(part.host_offsets);
  }
}

int GpuBatches::fail(int error) {
  if (error == 0) return 0;
  error_ = device::text_of(error);
  return error == kNoMemory ? -ENOMEM : -EIO;
}

int GpuBatches::wait(device::Stream stream) {
  const OnDevice on(options_.device);
  return fail(device::wait(stream));
}

int GpuBatches::begin_in(device::Stream stream) { return fail(device::follow(stream, last_)); }

int GpuBatches::begin_on_host() { return fail(device::wait_for(last_)); }

int GpuBatches::end_in(device::Stream stream, int result) {
  const int error = device::record(last_, stream);
  return result != 0 ? result : fail(error);
}

std::uint32_t GpuBatches::parts_of(std::uint32_t count) const {
  return count / options_.pages + (count % options_.pages != 0 ? 1 : 0);
}

GpuBatches::Part& GpuBatches::take_part(std::uint32_t number, std::uint32_t count) {
  Part& part = parts_[number % kParts];
  part.first = number * options_.pages;
  part.count = std::min(options_.pages, count - part.first);
  return part;
}

int GpuBatches::wait_for_all() {
  int result = 0;
  for (Part& part : parts_) {
    const int waited = fail(device::wait(part.stream));
    if (result == 0) result = waited;
    part.count = 0;
  }
  return result;
}

// Pages in the GPU's memory become blocks there, behind those that are in use; the part has the
// working memory.
int GpuBatches::compress_part(const Part& part, device::Stream stream, std::uint32_t count,
                              const std::byte* pages, std::uint32_t raw_size, const Blocks& blocks,
                              std::uint32_t* used) {
  const int error = device::compress(options_.format,
                                     {.pages = pages,
                                      .slots = part.slots,
                                      .capacity = options_.capacity,
                                      .sizes = blocks.sizes,
                                      .kinds = blocks.kinds,
                                      .raw_size = raw_size,
                                      .count = count},
                                     stream);
  if (error != 0) return error;
  return device::pack({.pages = pages,
                       .slots = part.slots,
                       .capacity = options_.capacity,
                       .sizes = blocks.sizes,
                       .kinds = blocks.kinds,
                       .chunks = part.chunks,
                       .offsets = blocks.offsets,
                       .blocks = blocks.blocks,
                       .used = used,
                       .count = count},
                      stream);
}

int GpuBatches::compress(device::Stream stream, std::uint32_t count, const std::byte* pages,
                         const Blocks& blocks, std::uint32_t* used) {
  const OnDevice on(options_.device);
  int result = begin_in(stream);
  if (result == 0) result = fail(device::set(used, 0, sizeof(*used), stream));
  const std::uint32_t parts = parts_of(count);
  for (std::uint32_t i = 0; i < parts && result == 0; ++i) {
    const std::uint32_t first = i * options_.pages;
    result = fail(compress_part(parts_[0], stream, std::min(options_.pages, count - first),
                                pages + std::size_t{kPageBytes} * first, 0,
                                {.blocks = blocks.blocks,
                                 .bytes = blocks.bytes,
                                 .offsets = blocks.offsets + first,
                                 .sizes = blocks.sizes + first,
                                 .kinds = blocks.kinds + first},
                                used));
  }
  return end_in(stream, result);
}

int GpuBatches::decompress(device::Stream stream, std::uint32_t count, const Blocks& blocks,
                           std::byte* pages, PageStatus* statuses) {
  const OnDevice on(options_.device);
  const int begun = begin_in(stream);
  if (begun != 0) return begun;
  return fail(device::decompress(
      options_.format,
      {.blocks = blocks.blocks,
       .first = 0,
       .units = static_cast<std::uint32_t>(std::min<std::size_t>(
           blocks.bytes / kUnitBytes, std::numeric_limits<std::uint32_t>::max())),
       .offsets = blocks.offsets,
       .sizes = blocks.sizes,
       .kinds = blocks.kinds,
       .pages = pages,
       .statuses = statuses,
       .count = count},
      stream));
}

void* GpuBatches::allocate_host(std::size_t bytes) {
  const OnDevice on(options_.device);
  void* memory = nullptr;
  return fail(device::allocate_host(bytes, &memory)) == 0 ? memory : nullptr;
}

int GpuBatches::register_host(void* memory, std::size_t bytes) {
  const OnDevice on(options_.device);
  return fail(device::register_host(memory, bytes));
}

void GpuBatches::unregister_host(void* memory) {
  const OnDevice on(options_.device);
  device::unregister_host(memory);
}

void* GpuBatches::allocate_device(std::size_t bytes) {
  const OnDevice on(options_.device);
  void* memory = nullptr;
  return fail(device::allocate(bytes, &memory)) == 0 ? memory : nullptr;
}

// Calls from the host leave nothing in a part's stream.
int GpuBatches::copy(void* to, const void* from, std::size_t bytes) {
  const OnDevice on(options_.device);
  const device::Stream stream = parts_.front().stream;
  const int error = device::copy(to, from, bytes, stream);
  const int waited = wait(stream);
  return error != 0 ? fail(error) : waited;
}

int GpuBatches::features(device::Stream stream, std::uint32_t count, const std::byte* pages,
                         PageFeatures* features) {
  const OnDevice on(options_.device);
  const int begun = begin_in(stream);
  if (begun != 0) return begun;
  return fail(device::features({.pages = pages, .features = features, .count = count}, stream));
}

// The parts' streams go on when all is done that is in the caller's so far.
int GpuBatches::follow(device::Stream stream) {
  int error = device::record(last_, stream);
  for (Part& part : parts_) {
    if (error == 0) error = device::follow(part.stream, last_);
  }
  return fail(error);
}

// Pages go there, where they are not there already, and become blocks, and how long these are comes
// back. The caller has the pages of the machine's memory, and keeps them where they do not fit.
int GpuBatches::start_compress(Part& part, Pages where, const std::byte* pages) {
  pages += std::size_t{kPageBytes} * part.first;
  int error = device::set(part.used, 0, sizeof(*part.used), part.stream);
  if (error == 0 && where == Pages::kInHostMemory) {
    error = device::copy(part.pages, pages, std::size_t{kPageBytes} * part.count, part.stream);
    pages = part.pages;
  }
  if (error == 0) {
    error = compress_part(part, part.stream, part.count, pages,
                          where == Pages::kInHostMemory ? 0 : kPageBytes,
                          {.blocks = part.blocks,
                           .bytes = std::size_t{kPageBytes} * options_.pages,
                           .offsets = part.offsets,
                           .sizes = part.sizes,
                           .kinds = part.kinds},
                          part.used);
  }
  if (error == 0) error = copy_array(part.host_used, part.used, 1, part.stream);
  return fail(error);
}

// The blocks come back, behind those of the parts before, while there is room for all of a part.
int GpuBatches::fetch_blocks(Part& part, const Blocks& blocks, std::uint32_t* used) {
  const int waited = fail(device::wait(part.stream));
  if (waited != 0) return waited;
  part.base = *used;
  *used += *part.host_used;
  int error = 0;
  if (*used <= blocks.bytes / kUnitBytes) {
    error = copy_array(blocks.blocks + std::size_t{kUnitBytes} * part.base, part.blocks,
                       std::size_t{kUnitBytes} * *part.host_used, part.stream);
  }
  if (error == 0) {
    error = copy_array(blocks.offsets + part.first, part.offsets, part.count, part.stream);
  }
  if (error == 0)
    error = copy_array(blocks.sizes + part.first, part.sizes, part.count, part.stream);
  if (error == 0)
    error = copy_array(blocks.kinds + part.first, part.kinds, part.count, part.stream);
  return fail(error);
}

// The part's offsets count from its own first block until all of it has come back.
int GpuBatches::settle_offsets(Part& part, const Blocks& blocks) {
  if (part.count == 0) return 0;
  const int waited = fail(device::wait(part.stream));
  if (waited != 0) return waited;
  for (std::uint32_t page = part.first; page < part.first + part.count; ++page) {
    blocks.offsets[page] += part.base;
  }
  part.count = 0;
  return 0;
}

int GpuBatches::compress_to_host(Pages where, device::Stream stream, std::uint32_t count,
                                 const std::byte* pages, const Blocks& blocks,
                                 std::uint32_t* used) {
  const OnDevice on(options_.device);
  *used = 0;
  int result = begin_on_host();
  if (result == 0 && where == Pages::kInDeviceMemory) result = follow(stream);
  for (Part& part : parts_) part.count = 0;
  Part* before = nullptr;
  const std::uint32_t parts = parts_of(count);
  for (std::uint32_t i = 0; i < parts && result == 0; ++i) {
    result = settle_offsets(parts_[i % kParts], blocks);
    if (result != 0) break;
    Part& part = take_part(i, count);
    result = start_compress(part, where, pages);
    if (result == 0 && before != nullptr) result = fetch_blocks(*before, blocks, used);
    before = &part;
  }
  if (result == 0 && before != nullptr) result = fetch_blocks(*before, blocks, used);
  for (Part& part : parts_) {
    if (result == 0) result = settle_offsets(part, blocks);
  }
  const int waited = wait_for_all();
  if (result == 0) result = waited;
  if (result == 0 && *used > blocks.bytes / kUnitBytes) result = -ENOSPC;
  return result;
}

int GpuBatches::compress_host(std::uint32_t count, const std::byte* pages, const Blocks& blocks,
                              std::uint32_t* used) {
  return compress_to_host(Pages::kInHostMemory, nullptr, count, pages, blocks, used);
}

int GpuBatches::compress_from_device(device::Stream stream, std::uint32_t count,
                                     const std::byte* pages, const Blocks& blocks,
                                     std::uint32_t* used) {
  return compress_to_host(Pages::kInDeviceMemory, stream, count, pages, blocks, used);
}

// A part's blocks go there: the range that holds them, where that is no more than the part has room
// for, else one by one.
int GpuBatches::send_blocks(Part& part, device::Stream stream, const Blocks& blocks,
                            DecompressBatch* batch) {
  const std::size_t units = blocks.bytes / kUnitBytes;
  // What cannot be read, or what no kernel decodes, stays here; the kernel tells why.
  const auto is_sent = [&](std::uint32_t page) {
    return (blocks.kinds[page] != BlockKind::kRaw || blocks.sizes[page] == kPageBytes) &&
           blocks.sizes[page] <= kPageBytes && blocks.offsets[page] <= units &&
           units_of(blocks.sizes[page]) <= units - blocks.offsets[page];
  };
  std::size_t begin = units;
  std::size_t end = 0;
  for (std::uint32_t page = part.first; page < part.first + part.count; ++page) {
    if (!is_sent(page)) continue;
    begin = std::min<std::size_t>(begin, blocks.offsets[page]);
    end = std::max(end, std::size_t{blocks.offsets[page]} + units_of(blocks.sizes[page]));
  }
  const std::uint32_t* offsets = blocks.offsets + part.first;
  int error = 0;
  if (end > begin && end - begin <= std::size_t{kPageBytes} / kUnitBytes * options_.pages) {
    error = copy_array(part.blocks, blocks.blocks + kUnitBytes * begin, kUnitBytes * (end - begin),
                       stream);
    batch->first = static_cast<std::uint32_t>(begin);
    batch->units = static_cast<std::uint32_t>(end - begin);
  } else {
    std::uint32_t used = 0;
    for (std::uint32_t i = 0; i < part.count && error == 0; ++i) {
      const std::uint32_t page = part.first + i;
      part.host_offsets[i] = used;
      if (!is_sent(page)) {
        part.host_offsets[i] = std::numeric_limits<std::uint32_t>::max();
        continue;
      }
      const std::uint32_t needs = units_of(blocks.sizes[page]);
      error = copy_array(part.blocks + std::size_t{kUnitBytes} * used,
                         blocks.blocks + std::size_t{kUnitBytes} * blocks.offsets[page],
                         std::size_t{kUnitBytes} * needs, stream);
      used += needs;
    }
    offsets = part.host_offsets;
    batch->first = 0;
    batch->units = used;
  }
  if (error == 0) error = copy_array(part.offsets, offsets, part.count, stream);
  if (error == 0) error = copy_array(part.sizes, blocks.sizes + part.first, part.count, stream);
  if (error == 0) error = copy_array(part.kinds, blocks.kinds + part.first, part.count, stream);
  batch->blocks = part.blocks;
  batch->offsets = part.offsets;
  batch->sizes = part.sizes;
  batch->kinds = part.kinds;
  batch->count = part.count;
  return fail(error);
}

// Pages come back, but for those that have no block.
int GpuBatches::fetch_pages(const Part& part, const Blocks& blocks, std::byte* pages) {
  const auto is_made = [&](std::uint32_t page) {
    const BlockKind kind = blocks.kinds[page];
    return kind == BlockKind::kBlock || kind == BlockKind::kSame ||
           (kind == BlockKind::kRaw && blocks.sizes[page] == kPageBytes);
  };
  const std::uint32_t end = part.first + part.count;
  int error = 0;
  for (std::uint32_t page = part.first; page < end && error == 0; ++page) {
    const std::uint32_t begin = page;
    while (page < end && is_made(page)) ++page;
    error = copy_array(pages + std::size_t{kPageBytes} * begin,
                       part.pages + std::size_t{kPageBytes} * (begin - part.first),
                       std::size_t{kPageBytes} * (page - begin), part.stream);
  }
  return error;
}

int GpuBatches::decompress_host(std::uint32_t count, const Blocks& blocks, std::byte* pages,
                                PageStatus* statuses) {
  const OnDevice on(options_.device);
  int result = begin_on_host();
  const std::uint32_t parts = parts_of(count);
  for (std::uint32_t i = 0; i < parts && result == 0; ++i) {
    Part& part = take_part(i, count);
    // Its host_offsets are those of the part before until they have crossed the link.
    result = fail(device::wait(part.stream));
    if (result != 0) break;
    DecompressBatch batch = {};
    result = send_blocks(part, part.stream, blocks, &batch);
    if (result != 0) break;
    batch.pages = part.pages;
    batch.statuses = part.statuses;
    // What a bad block leaves of its page is nobody else's page.
    int error = device::set(part.pages, 0, std::size_t{kPageBytes} * part.count, part.stream);
    if (error == 0) error = device::decompress(options_.format, batch, part.stream);
    if (error == 0) error = fetch_pages(part, blocks, pages);
    if (error == 0) {
      error = copy_array(statuses + part.first, part.statuses, part.count, part.stream);
    }
    result = fail(error);
  }
  const int waited = wait_for_all();
  return result != 0 ? result : waited;
}

int GpuBatches::decompress_to_device(device::Stream stream, std::uint32_t count,
                                     const Blocks& blocks, std::byte* pages, PageStatus* statuses) {
  const OnDevice on(options_.device);
  // The working memory in the machine's memory is written by this thread, ahead of the stream.
  int result = begin_on_host();
  const std::uint32_t parts = parts_of(count);
  for (std::uint32_t i = 0; i < parts && result == 0; ++i) {
    Part& part = take_part(i, count);
    if (i >= kParts && i % kParts == 0) result = fail(device::wait(stream));
    if (result != 0) break;
    DecompressBatch batch = {};
    result = send_blocks(part, stream, blocks, &batch);
    if (result != 0) break;
    batch.pages = pages + std::size_t{kPageBytes} * part.first;
    batch.statuses = statuses + part.first;
    result = fail(device::decompress(options_.format, batch, stream));
  }
  return end_in(stream, result);
}

}  // namespace pleat::gpu
