// SPDX-License-Identifier: MIT OR Apache-2.0
// Raising an eventfd(2), which allocates nothing.
#pragma once

#include <unistd.h>

#include <cstdint>

namespace pleat {

// Adds one to the eventfd, which makes it readable.
inline void raise_event(int event) noexcept {
  const std::uint64_t one = 1;
  // Fails only where the counter is at its end, and then it is readable already.
  [[maybe_unused]] const ssize_t written = write(event, &one, sizeof(one));
}

}  // namespace pleat
