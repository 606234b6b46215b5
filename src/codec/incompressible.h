// SPDX-License-Identifier: MIT OR Apache-2.0
// Finding pages that no codec here makes shorter, such as compressed and encrypted data, in a small
// part of the time that compressing takes.
#pragma once

#include <cstddef>

namespace pleat::codec {

// Whether the page looks like noise. A guess from samples: noise that repeats further than two
// lines of 64 bytes away, which a codec might find, is taken for noise too. docs/performance.md
// shows what the guess finds and misses on real pages.
bool incompressible(const std::byte* page) noexcept;

}  // namespace pleat::codec
