// SPDX-License-Identifier: MIT OR Apache-2.0
// Which ublk devices are Pleat's, and whose.
//
// The driver keeps 64 bits for the server in DeviceInfo::ublksrv_flags from ADD_DEV on. There our
// devices carry a mark and the process id of the daemon that made them; unlike ublksrv_pid they are
// there before START_DEV and after the daemon's death (when some kernels put -1 in ublksrv_pid).
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace pleat::device::ublk {

inline constexpr std::uint32_t kOwnershipMark = 0x504c4541;  // "PLEA"

inline constexpr std::uint64_t ownership(pid_t daemon) noexcept {
  return std::uint64_t{kOwnershipMark} << 32 | static_cast<std::uint32_t>(daemon);
}
inline constexpr bool is_ours(std::uint64_t ublksrv_flags) noexcept {
  return ublksrv_flags >> 32 == kOwnershipMark;
}
inline constexpr pid_t owner(std::uint64_t ublksrv_flags) noexcept {
  return static_cast<pid_t>(ublksrv_flags & 0xffffffff);
}

}  // namespace pleat::device::ublk
