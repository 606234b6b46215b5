// SPDX-License-Identifier: MIT OR Apache-2.0
// What the service manager is told (sd_notify(3)): one datagram to the socket that NOTIFY_SOCKET
// names. Spoken here because libsystemd's sd_notify() waits while the socket is full, and because
// the libraries that it needs would be 3.5 MiB of locked memory more in both processes.
#pragma once

#include <string_view>

namespace pleat::daemon {

// Sends "READY=1", "STATUS=...", "STOPPING=1", "MAINPID=..." lines, separated by newlines. Does
// nothing without NOTIFY_SOCKET, and never waits. Whether the message was taken.
bool notify_service_manager(std::string_view message) noexcept;

}  // namespace pleat::daemon
