// SPDX-License-Identifier: MIT OR Apache-2.0
// What the service manager is told (sd_notify(3)): one datagram to the socket that NOTIFY_SOCKET
// names. Spoken here because libsystemd's sd_notify() waits while the socket is full, and because
// the libraries that it needs would be 3.5 MiB of locked memory more in both processes.
#pragma once

#include <sys/un.h>

#include <cstdint>
#include <string_view>

namespace pleat {

// Whom a daemon tells how it is. The processes that take the place of one that was told by its
// environment are not told themselves: they find this on the board.
struct ServiceManager {
  char socket[sizeof(sockaddr_un::sun_path)] = {};  // as NOTIFY_SOCKET; empty = none
  std::uint64_t watchdog_ns = 0;  // who is not heard of for so long is ended; 0 = never
};

// What NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say, which go from the environment.
ServiceManager take_service_manager() noexcept;

// Sends "READY=1", "STATUS=...", "STOPPING=1", "MAINPID=...", "WATCHDOG=1" lines, separated by
// newlines. Does nothing where there is no manager, and never waits. Whether the message was taken.
bool notify(const ServiceManager& manager, std::string_view message) noexcept;

}  // namespace pleat
