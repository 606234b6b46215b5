// SPDX-License-Identifier: MIT OR Apache-2.0
// Page-aligned memory of a fixed size that is present from the start, so that no page fault falls
// into a measurement.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <utility>

#include "base/page.h"

namespace pleat::tool {

class PageBuffer {
 public:
  PageBuffer() = default;
  // `bytes` of zeros; throws std::bad_alloc where the system has no memory.
  explicit PageBuffer(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(memory);
    // MAP_POPULATE is a wish; and a page that was only read may be the shared zero page.
    for (std::size_t at = 0; at < bytes; at += kPageSize) data_[at] = std::byte{0};
  }
  PageBuffer(PageBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PageBuffer& operator=(PageBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  PageBuffer(const PageBuffer&) = delete;
  PageBuffer& operator=(const PageBuffer&) = delete;
  ~PageBuffer() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }

  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }
  std::byte* page(std::size_t index) noexcept { return data_ + index * kPageSize; }
  const std::byte* page(std::size_t index) const noexcept { return data_ + index * kPageSize; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace pleat::tool
