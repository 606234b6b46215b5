// SPDX-License-Identifier: MIT OR Apache-2.0
// What the memory of capture_child holds: capture_child.cpp makes it, capture_test.cpp looks for
// it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pleat {

// Pages whose every 8-byte word is kMarker plus the page's number, in an aligned mapping of 16 KiB
// groups.
inline constexpr std::size_t kMarkedPages = 256;
inline constexpr std::uint64_t kMarker = 0x506c656174000000;
// Pages that were written with zeros: real pages, which are kept.
inline constexpr std::size_t kZeroPages = 300;
// Pages that were only read: the shared zero page, which is left out.
inline constexpr std::size_t kUntouchedPages = 5000;
// Words of a file's private mapping, of which only the first page is changed.
inline constexpr std::uint64_t kFileMarker = 0x66696c6500000000;
inline constexpr std::uint64_t kChangedMarker = 0x6368616e67656400;
inline constexpr std::size_t kFilePages = 16;

}  // namespace pleat
