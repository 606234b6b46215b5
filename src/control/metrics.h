// SPDX-License-Identifier: MIT OR Apache-2.0
// The statistics of devices as Prometheus reads them: its text format, version 0.0.4.
// docs/metrics.md lists the metrics.
#pragma once

#include <span>
#include <string>

#include "control/status.h"

namespace pleat::control {

// All metrics of all devices, each family once; empty without devices.
std::string metrics_text(std::span<const DeviceStatus> devices);

}  // namespace pleat::control
