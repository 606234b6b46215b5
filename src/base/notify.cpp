// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/notify.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"

namespace pleat {

ServiceManager take_service_manager() noexcept {
  ServiceManager manager;
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path != nullptr && (path[0] == '/' || path[0] == '@') &&
      std::strlen(path) < sizeof(manager.socket)) {
    std::strcpy(manager.socket, path);
  }
  // Inherited from a parent that is a service, the watchdog is the parent's
  // (sd_watchdog_enabled(3)).
  const char* const pid = std::getenv("WATCHDOG_PID");
  const char* const period_us = std::getenv("WATCHDOG_USEC");
  if (period_us != nullptr && (pid == nullptr || std::strtol(pid, nullptr, 10) == getpid())) {
    manager.watchdog_ns = std::strtoull(period_us, nullptr, 10) * 1000;
  }
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
  return manager;
}

bool notify(const ServiceManager& manager, std::string_view message) noexcept {
  if (manager.socket[0] == '\0') return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(manager.socket);
  std::memcpy(address.sun_path, manager.socket, length);
  // "@" stands for the zero byte of an abstract name (unix(7)).
  if (manager.socket[0] == '@') address.sun_path[0] = '\0';
  const UniqueFd socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) return false;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const ssize_t sent =
      sendto(socket_fd.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&address), size);
  return sent == static_cast<ssize_t>(message.size());
}

}  // namespace pleat
