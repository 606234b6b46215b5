// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/transport.h"

#include "device/loop/leftovers.h"
#include "device/ublk/ublk_leftovers.h"

namespace pleat::device {

Result<void> Transport::take_over() {
  return Error{EOPNOTSUPP, info().path + " cannot be taken over by another process"};
}

const char* to_string(TransportKind kind) noexcept {
  return kind == TransportKind::kUblk ? "ublk" : "loop";
}

Result<void> remove_leftovers(const TransportInfo& info, const std::string& name) {
  return info.kind == TransportKind::kUblk ? remove_ublk_leftovers(info)
                                           : remove_loop_leftovers(info, name);
}

}  // namespace pleat::device
