// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/device.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/socket.h"
#include "tool/mounts.h"

namespace pleat::tool {

Result<control::DeviceStatus> query_status(const std::string& name) {
  const Result<nlohmann::json> answer = control::call(name, {{"op", "stat"}}, kQueryTimeout_ms);
  if (!answer) return answer.error();
  const auto status = answer->find("status");
  if (status == answer->end()) {
    return Error{EBADMSG, "the daemon of " + name + " answered without a status"};
  }
  Result<control::DeviceStatus> parsed = control::status_from_json(*status);
  if (!parsed) return with_context(parsed.error(), "device " + name);
  return parsed;
}

Device query_device(const std::string& name, const System& system) {
  Device device;
  device.name = name;
  Result<control::DeviceStatus> status = query_status(name);
  if (status) {
    device.mount_points = mount_points(status->path, system);
    device.status = std::move(*status);
  } else {
    device.error = status.error();
  }
  return device;
}

}  // namespace pleat::tool
