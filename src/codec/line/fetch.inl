// SPDX-License-Identifier: MIT OR Apache-2.0
// What the vector forms of the line format's compressor ask memory for, before they need it.

// Asks for the page, which is all read at once.
PLEAT_INLINE void line_fetch_page(const std::byte* page) noexcept {
#pragma GCC unroll 64
  for (std::size_t i = 0; i < kPageSize; i += kLineBytes) __builtin_prefetch(page + i);
}

// Asks for as much of a destination as a block usually takes: it is written in steps that wait for
// nothing else, long after this.
PLEAT_INLINE void line_fetch_block(const std::byte* dst, std::size_t capacity) noexcept {
  constexpr std::size_t kUsual = 2048;
  if (capacity < kUsual) return;
#pragma GCC unroll 32
  for (std::size_t i = 0; i < kUsual; i += kLineBytes) __builtin_prefetch(dst + i, 1);
}
