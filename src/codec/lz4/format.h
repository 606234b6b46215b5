// SPDX-License-Identifier: MIT OR Apache-2.0
// The constants of the LZ4 block format (docs/formats/lz4.md), and the working memory of a
// compressor of pages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/page.h"

namespace pleat::codec {

// A match is at least this long; a token's low half counts from here.
inline constexpr std::size_t kMinMatch = 4;
// The last bytes of a block are literals.
inline constexpr std::size_t kLastLiterals = 5;
// The last match starts at least this many bytes before the end of the page.
inline constexpr std::size_t kMatchStartMargin = 12;
// The value of a token's half that says that length bytes follow.
inline constexpr std::size_t kLongLength = 15;

// The largest block of a page: one token, all of it as literals and their length bytes, rounded up
// to what the LZ4 library states. No parse is longer, since a sequence with a match takes at most 3
// bytes and its literals (with length bytes: one in 255) and yields at least 4 bytes more than
// those.
constexpr std::size_t lz4_bound(std::size_t bytes) { return bytes + bytes / 255 + 16; }
inline constexpr std::size_t kLz4Bound = lz4_bound(kPageSize);
inline constexpr std::size_t kLz4GroupBound = lz4_bound(kGroupBytes);

inline constexpr unsigned kLz4HashBits = 12;

// From the fastest to the densest.
inline constexpr unsigned kLz4Levels = 5;
inline constexpr unsigned kLz4LevelDefault = 4;

// How many bytes behind a block the compressor writes in its own buffer, at most: one literal copy
// of 32 bytes and one run of 16 length bytes.
inline constexpr std::size_t kLz4BlockSlack = 64;

template <std::size_t kBytes>
struct Lz4BlockWorkspace {
  // The last position in the page or group whose bytes have this hash; 0 where there was none.
  alignas(64) std::uint16_t positions[std::size_t{1} << kLz4HashBits];
  // The block is built here and copied to its destination when it is known to fit there, so that
  // the compressor can copy literals in whole vectors.
  alignas(64) std::byte block[lz4_bound(kBytes) + kLz4BlockSlack];
};
struct Lz4Workspace : Lz4BlockWorkspace<kPageSize> {};
struct Lz4GroupWorkspace : Lz4BlockWorkspace<kGroupBytes> {};
static_assert(sizeof(Lz4Workspace) <= 64 * 1024);

}  // namespace pleat::codec
