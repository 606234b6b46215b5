// SPDX-License-Identifier: MIT OR Apache-2.0
// The unit that everything in Pleat moves: one page of memory.
#pragma once

#include <cstddef>
#include <span>

namespace pleat {

// Linux's page size on every machine that Pleat serves, and the block size of its devices.
inline constexpr std::size_t kPageSize = 4096;

// A group: four neighbouring pages that are compressed as one block.
inline constexpr std::size_t kGroupPages = 4;
inline constexpr std::size_t kGroupBytes = kGroupPages * kPageSize;
inline constexpr unsigned kPageShift = 12;
static_assert(kPageSize == std::size_t{1} << kPageShift);

// The block layer's own unit: offsets and lengths of requests are multiples of it.
inline constexpr std::size_t kSectorSize = 512;

using PageView = std::span<const std::byte, kPageSize>;
using PageSpan = std::span<std::byte, kPageSize>;

}  // namespace pleat
