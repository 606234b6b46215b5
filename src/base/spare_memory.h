// SPDX-License-Identifier: MIT OR Apache-2.0
// Memory that a process holds so as to give it up when the kernel needs some at once.
#pragma once

#include <cstddef>
#include <utility>

#include "base/result.h"

namespace pleat {

class SpareMemory {
 public:
  // Faults it in and locks it.
  static Result<SpareMemory> hold(std::size_t bytes);
  SpareMemory(SpareMemory&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), bytes_(other.bytes_) {}
  SpareMemory& operator=(SpareMemory&&) = delete;
  ~SpareMemory();

  // Gives its pages back and keeps the addresses, which takes no memory as munmap() may. Before
  // Linux 5.18 it keeps the pages.
  void give_up() noexcept;

  const void* address() const noexcept { return address_; }

 private:
  SpareMemory(void* address, std::size_t bytes) : address_(address), bytes_(bytes) {}

  void* address_;
  std::size_t bytes_;
};

}  // namespace pleat
