// SPDX-License-Identifier: MIT OR Apache-2.0
#include "control/deadline.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"

namespace pleat::control {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kDay_ms = 86'400'000;

}  // namespace

Deadline::Deadline(std::uint64_t timeout_ms)
    : end_ns_(monotonic_ns() + std::min(timeout_ms, kDay_ms) * kNsPerMs) {}

bool Deadline::passed() const { return monotonic_ns() >= end_ns_; }

int Deadline::left_ms() const {
  const std::uint64_t now_ns = monotonic_ns();
  if (now_ns >= end_ns_) return 0;
  // Rounded up, so that poll() does not return just before the end again and again.
  return static_cast<int>((end_ns_ - now_ns + kNsPerMs - 1) / kNsPerMs);
}

Result<void> wait_for(int fd, short events, const Deadline& deadline) {
  while (true) {
    pollfd entry{fd, events, 0};
    const int ready = poll(&entry, 1, deadline.left_ms());
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return errno_error("poll");
    if (ready == 0 && deadline.passed()) return errno_error(ETIMEDOUT, "no answer");
  }
}

}  // namespace pleat::control
