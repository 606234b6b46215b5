// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/ready.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

namespace pleat::daemon {

namespace {

using Json = nlohmann::json;

void write_and_close(int fd, const Json& json) {
  if (fd < 0) return;
  const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  [[maybe_unused]] const ssize_t written = write(fd, line.data(), line.size());
  close(fd);
}

}  // namespace

void write_ready_line(int fd, const Options& options, const Report& report, pid_t worker) {
  write_and_close(fd, {{"ok", true},
                       {"name", options.name},
                       {"path", report.device.path},
                       {"transport", device::to_string(report.device.kind)},
                       {"reason", report.reason},
                       {"id", report.device.id},
                       {"pid", getpid()},
                       {"worker", worker}});
}

void write_failed_line(int fd, const Error& error) {
  write_and_close(fd, {{"ok", false}, {"code", error.code}, {"error", error.message}});
}

}  // namespace pleat::daemon
