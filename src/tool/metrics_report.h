// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat metrics`: the statistics of devices as Prometheus reads them, on standard output or in a
// file for node_exporter's textfile collector.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"

namespace pleat::tool {

struct MetricsOptions {
  std::vector<std::string> names = {};  // or paths; none: all devices
  std::string output = {};              // file that is replaced as a whole; empty: standard output
};

// A device that does not answer is left out, and is the error, once the others are written.
Result<void> show_metrics(const MetricsOptions& options, std::ostream& out);

}  // namespace pleat::tool
