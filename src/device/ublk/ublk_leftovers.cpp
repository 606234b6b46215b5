// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/ublk/ublk_leftovers.h"

#include <signal.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "device/ublk/control.h"
#include "device/ublk/ownership.h"

namespace pleat::device {
namespace {

// Whether the process runs; one that has exited and was not waited for does not.
bool is_alive(pid_t process) {
  if (process <= 0 || (kill(process, 0) != 0 && errno == ESRCH)) return false;
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  // The state is behind the name, which is in parentheses and may hold any character.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= text.size()) return true;
  return text[name_end + 2] != 'Z' && text[name_end + 2] != 'X';
}

}  // namespace

Result<void> remove_ublk_leftovers(const TransportInfo& info) {
  if (info.id < 0) return {};
  const auto id = static_cast<unsigned>(info.id);
  const std::string name = "ublk device " + std::to_string(id);
  auto control = ublk::Control::open();
  if (!control) {
    return with_context(std::move(control).error(), "cannot remove " + name);
  }
  auto found = control->device_info(id);
  if (!found) {
    if (found.error().code == ENODEV) return {};
    return std::move(found).error();
  }
  if (!ublk::is_ours(found->ublksrv_flags)) {
    return Error{EPERM, name + " was not made by Pleat; it is left alone"};
  }
  for (const pid_t server : {ublk::owner(found->ublksrv_flags), found->ublksrv_pid}) {
    if (is_alive(server)) {
      return Error{EBUSY, name + " is served by process " + std::to_string(server) +
                              ", which runs; it is left alone"};
    }
  }
  // The driver notices the death by itself, but not at once; stopping waits for that.
  auto stopped = control->stop_device(id);
  auto deleted = control->delete_device(id);
  return deleted ? stopped : deleted;
}

}  // namespace pleat::device
