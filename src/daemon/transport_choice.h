// SPDX-License-Identifier: MIT OR Apache-2.0
// Which transport a device gets, and why, in words.
#pragma once

#include <string>

#include "base/result.h"
#include "device/transport.h"

namespace pleat::daemon {

struct TransportChoice {
  device::TransportKind kind = device::TransportKind::kUblk;
  std::string reason;  // "loop: this kernel has no ublk driver; costs more CPU a request"
};

// What the kernel has; a seam for tests.
struct TransportProbes {
  Result<void> (*ublk)() = device::probe_ublk;
  Result<void> (*loop)() = device::probe_loop;
};

// `wanted` is "auto", "ublk" or "loop". With "auto" ublk where the kernel has it, else loop. The
// error of a probe where there is none, EINVAL for another word.
Result<TransportChoice> choose_transport(const std::string& wanted,
                                         const TransportProbes& probes = {});

}  // namespace pleat::daemon
