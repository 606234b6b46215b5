// SPDX-License-Identifier: MIT OR Apache-2.0
// A status whose every field has a value of its own, so that a swapped or lost field shows.
#pragma once

#include "control/status.h"

namespace pleat::control {

inline DeviceStatus sample_status() {
  DeviceStatus status;
  status.name = "pleat0";
  status.path = "/dev/ublkb0";
  status.transport = "ublk";
  status.transport_reason = "ublk: this kernel has it";
  status.features = {"USER_COPY", "CMD_IOCTL_ENCODE"};
  status.id = 3;
  status.pid = 4711;
  status.stand_bys = 5;
  status.take_overs = 4;
  status.version = "0.1.0";
  status.isa = "avx2";
  status.algorithm = "lz4";
  status.recomp_algorithm = "lz4hc";
  status.queues = 2;
  status.queue_depth = 64;
  status.block_bytes = 512;
  status.disksize = std::uint64_t{4} << 30;
  status.disksize_max = std::uint64_t{16} << 30;
  status.uptime_ms = 61'000;
  status.orig_data_size = 40'960'000;
  status.compr_data_size = 12'000'001;
  status.mem_used_total = 13'107'200;
  status.mem_limit = std::uint64_t{1} << 30;
  status.mem_used_max = 14'000'128;
  status.same_pages = 1500;
  status.pages_compacted = 6;
  status.huge_pages = 77;
  status.huge_pages_since = 88;
  status.failed_reads = 9;
  status.failed_writes = 10;
  status.invalid_io = 11;
  status.notify_free = 12'345;
  status.bd_count = 13;
  status.bd_reads = 14;
  status.bd_writes = 15;
  status.corrupt_pages = 16;
  status.no_reserve_writes = 17;
  status.over_limit_writes = 18;
  status.pages_recompressed = 19;
  status.recompress_saved = 20;
  status.pages_grouped = 55;
  status.backing_dev = "/dev/sdb1";
  status.backing_error = "the backing device has not the label that the store has written";
  status.backing_bytes = std::uint64_t{256} << 20;
  status.backing_failures = 51;
  status.pages_written_back = 52;
  status.writeback_limit = 53;
  status.writeback_limit_enable = 54;
  status.slot_table_bytes = std::uint64_t{8} << 20;
  status.metadata_bytes = 181'920;
  status.reserve_bytes = std::uint64_t{7} << 20;
  status.resident_bytes = std::uint64_t{30} << 20;
  status.daemon_bytes = 20'971'520;
  status.busy_ns = 2'100'000'000;
  status.read = {22, 23'000'000, 29'000'000, 2400, 2500, 26'000, 27'000, 28'000'000, {}};
  status.write = {32, 33'000'000, 39'000'000, 3400, 3500, 36'000, 37'000, 38'000'000, {}};
  status.discard = {42, 43'000'000, 49'000'000, 4400, 4500, 46'000, 47'000, 48'000'000, {}};
  std::uint64_t count = 100;
  for (LatencyStatus* const latency : {&status.read, &status.write, &status.discard}) {
    for (std::uint64_t& bucket : latency->buckets) bucket = ++count;
  }
  return status;
}

}  // namespace pleat::control
