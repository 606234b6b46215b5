// SPDX-License-Identifier: MIT OR Apache-2.0
// A device's status, put together from what the store, the queues and /proc say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "control/status.h"
#include "daemon/options.h"
#include "device/queue_stats.h"
#include "device/transport.h"
#include "store/store.h"

namespace pleat::daemon {

struct StatusSources {
  const Options& options;
  const device::TransportInfo& transport;
  const std::string& transport_reason;
  const std::vector<std::string>& notes;  // what is not as it should be, shown with the features
  std::vector<const device::QueueStats*> queues;
  store::StoreStats store;
  const Result<void>& backing_state;
  std::string isa;
  unsigned stand_bys = 0;
  std::uint64_t take_overs = 0;
  std::uint64_t uptime_ns = 0;
  std::uint64_t resident_bytes = 0;  // of the store's memory
  std::uint64_t pss_bytes = 0;       // of all processes of the daemon
};

// Sums the queues; daemon_bytes is pss_bytes without the slot table and the pool pages that hold
// objects, and 0 where pss_bytes is less than these (counters and memory are not of one instant).
control::DeviceStatus compose_status(const StatusSources& sources);

}  // namespace pleat::daemon
