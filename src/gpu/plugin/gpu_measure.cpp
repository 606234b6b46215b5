// SPDX-License-Identifier: MIT OR Apache-2.0
#include "gpu/plugin/gpu_measure.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "base/sample_stats.h"

namespace pleat::gpu {
namespace {

// What no page of a test consists of, to show that a page was written.
constexpr int kOther = 0xA5;

// Memory of either kind, for as long as the measurement takes.
class Memory {
 public:
  enum class Where { kHost, kDevice };
  Memory(Where where, std::size_t bytes, int* error) : where_(where) {
    if (*error != 0) return;
    *error = where == Where::kHost ? device::allocate_host(bytes, &memory_)
                                   : device::allocate(bytes, &memory_);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { where_ == Where::kHost ? device::release_host(memory_) : device::release(memory_); }

  template <typename T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  Where where_;
  void* memory_ = nullptr;
};

// Pages and blocks of one batch on one side of the link.
struct Side {
  Memory pages;
  Memory bytes;
  Memory offsets;
  Memory sizes;
  Memory kinds;
  Memory statuses;
  Memory used;
  Blocks blocks;

  Side(Memory::Where where, std::uint32_t count, std::uint32_t block_bytes, int* error)
      : pages(where, std::size_t{kPageBytes} * count, error),
        bytes(where, std::size_t{block_bytes} * count, error),
        offsets(where, sizeof(std::uint32_t) * count, error),
        sizes(where, sizeof(std::uint32_t) * count, error),
        kinds(where, sizeof(BlockKind) * count, error),
        statuses(where, sizeof(PageStatus) * count, error),
        used(where, sizeof(std::uint32_t), error),
        blocks{.blocks = bytes.as<std::byte>(),
               .bytes = std::size_t{block_bytes} * count,
               .offsets = offsets.as<std::uint32_t>(),
               .sizes = sizes.as<std::uint32_t>(),
               .kinds = kinds.as<BlockKind>()} {}
};

// Begin and end of what is put into the default stream.
class DeviceTimer {
 public:
  explicit DeviceTimer(int* error) {
    if (*error == 0) *error = device::create_event(&begin_);
    if (*error == 0) *error = device::create_event(&end_);
  }
  DeviceTimer(const DeviceTimer&) = delete;
  DeviceTimer& operator=(const DeviceTimer&) = delete;
  ~DeviceTimer() {
    if (begin_ != nullptr) device::destroy_event(begin_);
    if (end_ != nullptr) device::destroy_event(end_);
  }

  // Seconds that `work` takes, the median of `repeats` after one that is not counted.
  template <typename Work>
  int time(unsigned repeats, const Work& work, double* seconds) {
    std::vector<double> samples;
    for (std::uint64_t i = 0; i <= repeats; ++i) {
      float ms = 0;
      int error = device::record(begin_, nullptr);
      if (error == 0) error = work();
      if (error == 0) error = device::record(end_, nullptr);
      if (error == 0) error = device::elapsed_ms(begin_, end_, &ms);
      if (error != 0) return error;
      if (i != 0) samples.push_back(ms / 1e3);
    }
    *seconds = median(std::move(samples));
    return 0;
  }

 private:
  device::Event begin_ = nullptr;
  device::Event end_ = nullptr;
};

// The same for what is done when it returns, by the machine's clock.
template <typename Work>
int time_on_host(unsigned repeats, const Work& work, double* seconds) {
  std::vector<double> samples;
  for (std::uint64_t i = 0; i <= repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const int error = work();
    if (error != 0) return error;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (i != 0) samples.push_back(took.count());
  }
  *seconds = median(std::move(samples));
  return 0;
}

class Measurement {
 public:
  Measurement(GpuBatches& batches, std::uint32_t count, const std::byte* pages, unsigned repeats,
              int* error)
      : batches_(batches),
        count_(count),
        source_(pages),
        repeats_(repeats),
        host_(Memory::Where::kHost, count, kPageBytes, error),
        device_(Memory::Where::kDevice, count, batches.options().capacity, error),
        back_(Memory::Where::kHost, page_bytes(), error),
        timer_(error) {
    if (*error == 0) std::memcpy(host_.pages.as<std::byte>(), pages, page_bytes());
  }

  int run(GpuMeasurement* out) {
    int result = link(out);
    if (result == 0) result = on_device(out);
    if (result == 0) result = on_host(out);
    if (result == 0) result = from_device_and_back(out);
    if (result == 0) result = one_page(out);
    return result;
  }

 private:
  std::size_t page_bytes() const { return std::size_t{kPageBytes} * count_; }
  double rate(double seconds) const {
    return seconds > 0 ? static_cast<double>(page_bytes()) / seconds / 1e9 : 0;
  }

  int link(GpuMeasurement* out) {
    double seconds = 0;
    auto* const here = host_.pages.as<std::byte>();
    auto* const there = device_.pages.as<std::byte>();
    int error = timer_.time(
        repeats_, [&] { return device::copy(there, here, page_bytes(), nullptr); }, &seconds);
    if (error != 0) return error;
    out->to_device = rate(seconds);
    error = timer_.time(
        repeats_, [&] { return device::copy(back_.as<std::byte>(), there, page_bytes(), nullptr); },
        &seconds);
    out->from_device = rate(seconds);
    return error;
  }

  int on_device(GpuMeasurement* out) {
    double seconds = 0;
    auto* const pages = device_.pages.as<std::byte>();
    int error = timer_.time(
        repeats_,
        [&] {
          return batches_.compress(nullptr, count_, pages, device_.blocks,
                                   device_.used.as<std::uint32_t>());
        },
        &seconds);
    if (error != 0) return error;
    out->compress = rate(seconds);
    // Pages without a block stay as they are; all others are made anew.
    error =
        device::copy(host_.blocks.kinds, device_.blocks.kinds, count_ * sizeof(BlockKind), nullptr);
    if (error == 0) error = device::wait(nullptr);
    if (error != 0) return error;
    for (std::uint32_t page = 0; page < count_ && error == 0; ++page) {
      if (host_.blocks.kinds[page] == BlockKind::kRaw) continue;
      error = device::set(pages + std::size_t{kPageBytes} * page, kOther, kPageBytes, nullptr);
    }
    if (error == 0) {
      error = timer_.time(
          repeats_,
          [&] {
            return batches_.decompress(nullptr, count_, device_.blocks, pages,
                                       device_.statuses.as<PageStatus>());
          },
          &seconds);
    }
    if (error != 0) return error;
    out->decompress = rate(seconds);
    error = device::copy(back_.as<std::byte>(), pages, page_bytes(), nullptr);
    if (error == 0) error = device::wait(nullptr);
    return error != 0 ? error : compare(back_.as<std::byte>(), Raw::kLeftOut);
  }

  int on_host(GpuMeasurement* out) {
    double seconds = 0;
    auto* const used = host_.used.as<std::uint32_t>();
    int error = time_on_host(
        repeats_,
        [&] {
          return batches_.compress_host(count_, host_.pages.as<std::byte>(), host_.blocks, used);
        },
        &seconds);
    if (error != 0) return error;
    out->compress_host = rate(seconds);
    std::size_t bytes = 0;
    for (std::uint32_t page = 0; page < count_; ++page) {
      const BlockKind kind = host_.blocks.kinds[page];
      out->raw += kind == BlockKind::kRaw ? 1 : 0;
      out->same += kind == BlockKind::kSame ? 1 : 0;
      bytes += kind == BlockKind::kRaw ? kPageBytes : host_.blocks.sizes[page];
    }
    out->ratio = static_cast<double>(page_bytes()) / static_cast<double>(bytes);
    std::memset(back_.as<std::byte>(), kOther, page_bytes());
    error = time_on_host(
        repeats_,
        [&] {
          return batches_.decompress_host(count_, host_.blocks, back_.as<std::byte>(),
                                          host_.statuses.as<PageStatus>());
        },
        &seconds);
    out->decompress_host = rate(seconds);
    if (error != 0) return error;
    for (std::uint32_t page = 0; page < count_; ++page) {
      const bool raw = host_.blocks.kinds[page] == BlockKind::kRaw;
      const auto wanted = raw ? PageStatus::kNoBlock : PageStatus::kOk;
      if (host_.statuses.as<PageStatus>()[page] != wanted) return -EBADMSG;
    }
    return compare(back_.as<std::byte>(), Raw::kLeftOut);
  }

  // What is in the GPU's memory is saved, all of it, and brought back.
  int from_device_and_back(GpuMeasurement* out) {
    double seconds = 0;
    auto* const pages = device_.pages.as<std::byte>();
    int error = time_on_host(
        repeats_,
        [&] {
          return batches_.compress_from_device(nullptr, count_, pages, host_.blocks,
                                               host_.used.as<std::uint32_t>());
        },
        &seconds);
    if (error != 0) return error;
    out->compress_from_device = rate(seconds);
    error = device::set(pages, kOther, page_bytes(), nullptr);
    if (error == 0) {
      error = time_on_host(
          repeats_,
          [&] {
            const int begun = batches_.decompress_to_device(nullptr, count_, host_.blocks, pages,
                                                            device_.statuses.as<PageStatus>());
            return begun != 0 ? begun : batches_.wait(nullptr);
          },
          &seconds);
    }
    if (error != 0) return error;
    out->decompress_to_device = rate(seconds);
    error = device::copy(back_.as<std::byte>(), pages, page_bytes(), nullptr);
    if (error == 0) error = device::wait(nullptr);
    return error != 0 ? error : compare(back_.as<std::byte>(), Raw::kBroughtBack);
  }

  int one_page(GpuMeasurement* out) {
    double to_block = 0;
    double to_page = 0;
    auto* const used = host_.used.as<std::uint32_t>();
    int error = time_on_host(
        repeats_,
        [&] { return batches_.compress_host(1, host_.pages.as<std::byte>(), host_.blocks, used); },
        &to_block);
    if (error == 0) {
      error = time_on_host(
          repeats_,
          [&] {
            return batches_.decompress_host(1, host_.blocks, back_.as<std::byte>(),
                                            host_.statuses.as<PageStatus>());
          },
          &to_page);
    }
    out->latency_us = std::max(to_block, to_page) * 1e6;
    return error;
  }

  // Whether pages that do not fit in the capacity were written.
  enum class Raw { kLeftOut, kBroughtBack };
  int compare(const std::byte* found, Raw raw) const {
    for (std::uint32_t page = 0; page < count_; ++page) {
      if (host_.blocks.kinds[page] == BlockKind::kRaw && raw == Raw::kLeftOut) continue;
      const std::size_t at = std::size_t{kPageBytes} * page;
      if (std::memcmp(found + at, source_ + at, kPageBytes) != 0) return -EBADMSG;
    }
    return 0;
  }

  GpuBatches& batches_;
  std::uint32_t count_;
  const std::byte* source_;
  unsigned repeats_;
  Side host_;
  Side device_;
  Memory back_;
  DeviceTimer timer_;
};

}  // namespace

int measure(GpuBatches& batches, std::uint32_t count, const std::byte* pages, unsigned repeats,
            GpuMeasurement* out) {
  *out = {};
  int error = 0;
  Measurement measurement(batches, count, pages, repeats, &error);
  if (error == 0) error = measurement.run(out);
  // Errors of the driver are positive.
  return error > 0 ? batches.fail(error) : error;
}

}  // namespace pleat::gpu
