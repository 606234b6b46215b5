// SPDX-License-Identifier: MIT OR Apache-2.0
// A moment by which an exchange on a socket must be over.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace pleat::control {

class Deadline {
 public:
  explicit Deadline(std::uint64_t timeout_ms);

  bool passed() const;
  // What is left, for poll(): 0 once it has passed, and never more than a day.
  int left_ms() const;

 private:
  std::uint64_t end_ns_;
};

// Waits until `fd` has one of the poll() events or the deadline passes (ETIMEDOUT).
Result<void> wait_for(int fd, short events, const Deadline& deadline);

}  // namespace pleat::control
