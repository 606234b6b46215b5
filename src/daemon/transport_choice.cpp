// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/transport_choice.h"

#include <cerrno>

namespace pleat::daemon {

namespace {

// An error's cause without its advice, which is about getting ublk and not about loop.
std::string cause_of(const Error& error) {
  return error.message.substr(0, error.message.find(';'));
}

}  // namespace

Result<TransportChoice> choose_transport(const std::string& wanted, const TransportProbes& probes) {
  if (wanted == "ublk") {
    if (auto there = probes.ublk(); !there) return there.error();
    return TransportChoice{device::TransportKind::kUblk, "ublk: asked for"};
  }
  if (wanted == "loop") {
    if (auto there = probes.loop(); !there) return there.error();
    return TransportChoice{device::TransportKind::kLoop, "loop: asked for"};
  }
  if (wanted != "auto") {
    return Error{EINVAL, "unknown transport " + wanted + "; choose auto, ublk or loop"};
  }
  const auto ublk = probes.ublk();
  if (ublk) return TransportChoice{device::TransportKind::kUblk, "ublk: this kernel has it"};
  if (auto loop = probes.loop(); !loop) {
    return Error{loop.error().code, "neither transport works: " + cause_of(ublk.error()) +
                                        ", and " + loop.error().message};
  }
  return TransportChoice{device::TransportKind::kLoop,
                         "loop: " + cause_of(ublk.error()) + "; costs more CPU a request"};
}

}  // namespace pleat::daemon
