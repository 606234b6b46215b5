// SPDX-License-Identifier: MIT OR Apache-2.0
// Which codec is worth trying on a page, from samples that take a small part of the time that
// compressing takes: for codecs that choose between formats. docs/performance.md shows what the
// guess finds and misses on real pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace pleat::codec {

enum class PageLook : std::uint8_t {
  kWords,  // lines resemble those before, as in arrays and heaps: made for the line format
  kBytes,  // they do not, as in text: only matches that are not aligned may be found
  kNoise,  // nor do bytes repeat, as in compressed and encrypted data
};

// What the page looks like. Noise that repeats, further than 512 bytes away, is taken for noise,
// though LZ4 would make it shorter. `dst` is where the page goes if it is kept as it is: memory is
// asked for it when only noise is left to be told.
PageLook look_at(const std::byte* page, std::span<const std::byte> dst = {}) noexcept;

}  // namespace pleat::codec
