// SPDX-License-Identifier: MIT OR Apache-2.0
// Asking memory for pages and blocks before they are needed. They are as a rule somewhere cold, and
// their lines come faster when they are all asked for at once than one by one as they are needed.
#pragma once

#include <cstddef>

#include "base/page.h"

namespace pleat {

inline constexpr std::size_t kCacheLineBytes = 64;

// `bytes` at `from`, which are read.
[[gnu::always_inline]] inline void prefetch(const void* from, std::size_t bytes) noexcept {
  const auto* const start = static_cast<const std::byte*>(from);
  for (std::size_t at = 0; at < bytes; at += kCacheLineBytes) __builtin_prefetch(start + at);
}

// The same into the second level only, which can wait for more lines at a time: for many lines that
// are not needed at once. A line that is written needs no more, where no other core has it.
[[gnu::always_inline]] inline void prefetch_second_level(const void* from,
                                                         std::size_t bytes) noexcept {
  const auto* const start = static_cast<const std::byte*>(from);
  for (std::size_t at = 0; at < bytes; at += kCacheLineBytes) {
    __builtin_prefetch(start + at, 0, 2);
  }
}

// A page, which is all read from its beginning.
[[gnu::always_inline]] inline void prefetch_page(const std::byte* page) noexcept {
  constexpr std::size_t kSoon = 1024;
  prefetch(page, kSoon);
  prefetch_second_level(page + kSoon, kPageSize - kSoon);
}

// What the block of a page usually takes, at most.
inline constexpr std::size_t kUsualBlockBytes = 2048;

// As much of a destination as a block usually takes, where it has that.
[[gnu::always_inline]] inline void prefetch_destination(const std::byte* dst,
                                                        std::size_t capacity) noexcept {
  if (capacity >= kUsualBlockBytes) prefetch_second_level(dst, kUsualBlockBytes);
}

// One of `parts` equal parts of it, to be written.
[[gnu::always_inline]] inline void prefetch_destination_part(const std::byte* dst,
                                                             std::size_t capacity, std::size_t part,
                                                             std::size_t parts) noexcept {
  if (capacity < kUsualBlockBytes) return;
  const std::byte* const from = dst + kUsualBlockBytes / parts * part;
  for (std::size_t at = 0; at < kUsualBlockBytes / parts; at += kCacheLineBytes) {
    __builtin_prefetch(from + at, 1);
  }
}

}  // namespace pleat
