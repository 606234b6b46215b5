// SPDX-License-Identifier: MIT OR Apache-2.0
// Unaligned, alias-safe loads and stores. src/store takes the loads alone (base/load.h), since its
// namespace has the name of the function here.
#pragma once

#include <cstring>

#include "base/load.h"

namespace pleat {

template <typename T>
[[gnu::always_inline]] inline void store(void* to, T value) noexcept {
  std::memcpy(to, &value, sizeof(value));
}

}  // namespace pleat
