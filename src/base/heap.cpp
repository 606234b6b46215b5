// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/heap.h"

#include <cstddef>
#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/page.h"

namespace pleat {
namespace {

// A serving thread holds one request at a time. The rest is for the allocator's own lists, which
// collect freed blocks before they are merged. Below glibc's mmap threshold of 128 KiB, so that the
// block comes from the arena.
constexpr std::size_t kThreadHeapBytes = std::size_t{64} << 10;

}  // namespace

void keep_heap() noexcept {
#ifdef __GLIBC__
  // The default of 8 arenas a processor would let threads share one on a machine with few.
  mallopt(M_ARENA_MAX, 256);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
  // Naming the threshold also stops glibc from moving it, and the one for trimming, by itself.
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
#endif
}

void fill_thread_heap() noexcept {
  auto* const bytes = static_cast<volatile std::byte*>(std::malloc(kThreadHeapBytes));
  if (bytes == nullptr) return;
  for (std::size_t i = 0; i < kThreadHeapBytes; i += kPageSize) bytes[i] = std::byte{1};
  std::free(const_cast<std::byte*>(bytes));
}

}  // namespace pleat
