// SPDX-License-Identifier: MIT OR Apache-2.0
// What kernels ask memory for before they need it, included by isa/*.cpp inside their target
// region. Pages and blocks are as a rule somewhere cold, and their lines come faster when they are
// all asked for at once than one by one as the kernel gets to them.

// Asks for the page, which is all read.
PLEAT_INLINE void fetch_page(const std::byte* page) noexcept {
#pragma GCC unroll 64
  for (std::size_t at = 0; at < kPageSize; at += 64) __builtin_prefetch(page + at);
}

// Asks for a block that is read.
PLEAT_INLINE void fetch_block(const std::byte* src, std::size_t size) noexcept {
  for (std::size_t at = 0; at < size; at += 64) __builtin_prefetch(src + at);
}

// Asks for as much of a destination as a block usually takes: it is written in steps that wait for
// nothing else, long after this.
PLEAT_INLINE void fetch_destination(const std::byte* dst, std::size_t capacity) noexcept {
  constexpr std::size_t kUsual = 2048;
  if (capacity < kUsual) return;
#pragma GCC unroll 32
  for (std::size_t at = 0; at < kUsual; at += 64) __builtin_prefetch(dst + at, 1);
}
