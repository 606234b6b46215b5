// SPDX-License-Identifier: MIT OR Apache-2.0
// The store's memory: one sparse memfd and its one mapping. Pages come by populate() and go by
// give_back(); nothing else in the store makes the kernel provide or take memory.
//
// Thread safety: populate() and give_back() by one thread at a time; the mapping is everybody's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::store {

class Memory {
 public:
  // Makes `bytes` of address space, no memory yet. With `lock` whatever is populated is locked.
  // EPERM with what to do where the system does not let this process lock so much.
  static Result<Memory> create(std::uint64_t bytes, bool lock);
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&&) = delete;
  ~Memory();

  std::byte* base() const noexcept { return base_; }
  int fd() const noexcept { return fd_.get(); }

  // Provides memory for [offset, offset + length), whole pages, and enters it in the page tables,
  // so that no access to it faults. 0 or an errno; then part of it may be provided. May take as
  // long as the system takes to find memory.
  int populate(std::uint64_t offset, std::uint64_t length) noexcept;

  // Gives the memory of [offset, offset + length) back to the system; it reads as zeros afterwards.
  // 0 or an errno.
  int give_back(std::uint64_t offset, std::uint64_t length) noexcept;

 private:
  Memory(UniqueFd fd, std::byte* base, std::uint64_t bytes)
      : fd_(std::move(fd)), base_(base), bytes_(bytes) {}

  UniqueFd fd_;
  std::byte* base_ = nullptr;
  std::uint64_t bytes_ = 0;
};

// MemAvailable of /proc/meminfo in bytes, or UINT64_MAX where that cannot be read.
std::uint64_t available_memory();

}  // namespace pleat::store
