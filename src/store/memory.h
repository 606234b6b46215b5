// SPDX-License-Identifier: MIT OR Apache-2.0
// The store's memory: one sparse segment of System V shared memory and its one mapping. Pages come
// by populate() and go by give_back(); nothing else in the store makes the kernel provide or take
// memory.
//
// A segment and not a memfd, because its pages can be locked as such (SHM_LOCK): they stay in
// memory while no process has them mapped, as in the moment between a worker and its successor.
// With mlock() they would be swapped out then, to the very device whose pages they are.
//
// Thread safety: populate() and give_back() of one range by one thread at a time; the mapping is
// everybody's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"

namespace pleat::store {

class Memory {
 public:
  // Makes `bytes` of address space, no memory yet. With `lock` whatever is populated stays in
  // memory. The segment outlives every process, until remove(). EPERM with what to do where the
  // system does not let this process lock so much.
  static Result<Memory> create(std::uint64_t bytes, bool lock);
  // Attaches to a segment that another process has created, by its id(); EIDRM or EINVAL where it
  // is gone.
  static Result<Memory> attach(int id);
  // From now on the segment is gone once no process is attached to it.
  static void remove(int id) noexcept;

  Memory(Memory&& other) noexcept
      : id_(other.id_), base_(std::exchange(other.base_, nullptr)), bytes_(other.bytes_) {}
  Memory& operator=(Memory&&) = delete;
  ~Memory();

  std::byte* base() const noexcept { return base_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  int id() const noexcept { return id_; }

  // Provides memory for [offset, offset + length), whole pages, and enters it in the page tables,
  // so that no access to it faults. 0 or an errno; then part of it may be provided. May take as
  // long as the system takes to find memory.
  int populate(std::uint64_t offset, std::uint64_t length) noexcept;

  // Sets `present` for each page from `offset` on that has memory. Whether the kernel said so.
  bool find_present(std::uint64_t offset, std::vector<bool>& present) const noexcept;

  // Bytes of the segment that are in memory, as the kernel counts them; 0 where it does not say.
  std::uint64_t resident_bytes() const;

  // Gives the memory of [offset, offset + length) back to the system; it reads as zeros afterwards.
  // 0 or an errno.
  int give_back(std::uint64_t offset, std::uint64_t length) noexcept;

 private:
  Memory(int id, std::byte* base, std::uint64_t bytes) : id_(id), base_(base), bytes_(bytes) {}

  int id_;
  std::byte* base_;
  std::uint64_t bytes_;
};

// MemAvailable of /proc/meminfo in bytes, or UINT64_MAX where that cannot be read.
std::uint64_t available_memory();

}  // namespace pleat::store
