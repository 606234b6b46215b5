// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/metrics_report.h"

#include <unistd.h>

#include "base/replace_file.h"
#include "control/metrics.h"
#include "control/socket.h"
#include "tool/device.h"
#include "tool/names.h"

namespace pleat::tool {

Result<void> show_metrics(const MetricsOptions& options, std::ostream& out) {
  std::vector<std::string> names;
  for (const std::string& argument : options.names) {
    const Result<std::string> name = resolve_name(argument);
    if (!name) return name.error();
    names.push_back(*name);
  }
  if (options.names.empty()) names = control::device_names();
  std::vector<control::DeviceStatus> devices;
  Result<void> result;
  for (const std::string& name : names) {
    const Result<control::DeviceStatus> status = query_status(name);
    if (status) {
      devices.push_back(*status);
    } else {
      result = status.error();
    }
  }
  const std::string text = control::metrics_text(devices);
  if (options.output.empty()) {
    out << text;
  } else {
    // The collector, which is not root, reads *.prom only.
    auto written =
        replace_file(options.output, options.output + "." + std::to_string(getpid()), text, 0644);
    if (!written) return written;
  }
  return result;
}

}  // namespace pleat::tool
