// SPDX-License-Identifier: MIT OR Apache-2.0
// A buffer that touches inaccessible memory on the side where it is told to.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>

#include "base/page.h"

namespace pleat::test {

// Four accessible pages between two inaccessible ones. A read or write beside a buffer that begins
// at first(n) or ends at the last accessible byte ends the test program with SIGSEGV.
class GuardedBuffer {
 public:
  static constexpr std::size_t kBytes = 4 * kPageSize;

  GuardedBuffer() {
    void* map =
        mmap(nullptr, kBytes + 2 * kPageSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) std::abort();
    map_ = static_cast<std::byte*>(map);
    if (mprotect(map_ + kPageSize, kBytes, PROT_READ | PROT_WRITE) != 0) std::abort();
  }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;
  ~GuardedBuffer() { munmap(map_, kBytes + 2 * kPageSize); }

  // A buffer with an inaccessible byte before it.
  std::byte* first() const { return map_ + kPageSize; }
  // A buffer of `size` bytes with an inaccessible byte behind it.
  std::byte* last(std::size_t size) const { return first() + kBytes - size; }
  // Either of them.
  std::byte* at_edge(bool end, std::size_t size) const { return end ? last(size) : first(); }

 private:
  std::byte* map_;
};

}  // namespace pleat::test
