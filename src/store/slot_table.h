// SPDX-License-Identifier: MIT OR Apache-2.0
// The slot table: address space for the words of the largest device, of which the first size() are
// there. Those behind have no memory and are not to be touched.
//
// Thread safety: any thread reads. size() is in the store's memory, and changes where the device is
// resized.
#pragma once

#include <atomic>
#include <cstdint>

namespace pleat::store {

class SlotTable {
 public:
  SlotTable(std::atomic<std::uint64_t>* words, std::atomic<std::uint64_t>* size)
      : words_(words), size_(size) {}

  std::uint64_t size() const noexcept { return size_->load(std::memory_order_acquire); }
  void set_size(std::uint64_t size) noexcept { size_->store(size, std::memory_order_release); }

  // Each a SlotWord. Precondition: slot < size().
  std::atomic<std::uint64_t>& operator[](std::uint64_t slot) const noexcept { return words_[slot]; }

 private:
  std::atomic<std::uint64_t>* words_;
  std::atomic<std::uint64_t>* size_;
};

}  // namespace pleat::store
