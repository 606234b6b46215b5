// SPDX-License-Identifier: MIT OR Apache-2.0
// What a daemon says of its device, and its form on the socket. docs/control.md describes the
// protocol.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace pleat::control {

// Requests are counted by the first of these that their service time does not exceed, and in one
// more bucket those above all.
inline constexpr std::array<std::uint64_t, 19> kLatencyLimits_ns = {
    1'000,      2'000,       5'000,       10'000,      20'000,       50'000,     100'000,
    200'000,    500'000,     1'000'000,   2'000'000,   5'000'000,    10'000'000, 20'000'000,
    50'000'000, 100'000'000, 200'000'000, 500'000'000, 1'000'000'000};
using LatencyBuckets = std::array<std::uint64_t, kLatencyLimits_ns.size() + 1>;

struct LatencyStatus {
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  std::uint64_t total_ns = 0;
  std::uint64_t p50_ns = 0;
  std::uint64_t p90_ns = 0;
  std::uint64_t p99_ns = 0;
  std::uint64_t p999_ns = 0;
  std::uint64_t max_ns = 0;
  LatencyBuckets buckets{};
};

// Field names are the JSON keys.
struct DeviceStatus {
  std::string name;
  std::string path;              // "/dev/ublkb0"
  std::string transport;         // "ublk" or "loop"
  std::string transport_reason;  // why this one: "ublk: this kernel has it"
  std::vector<std::string> features;
  int id = -1;
  std::int64_t pid = 0;          // the worker's process
  unsigned stand_bys = 0;        // processes that are ready to serve where it dies
  std::uint64_t take_overs = 0;  // how often one has taken a dead one's place
  std::string version;           // of the daemon
  std::string isa;               // the codec's tier
  std::string algorithm;
  std::string recomp_algorithm;  // empty = none
  std::string backing_dev;       // block device or file for writeback; empty = none
  std::string backing_error;     // why it is not to be had; empty where it is
  unsigned queues = 0;
  unsigned queue_depth = 0;
  unsigned block_bytes = 0;
  std::uint64_t disksize = 0;      // bytes
  std::uint64_t disksize_max = 0;  // the largest that it can be set to
  std::uint64_t uptime_ms = 0;

  // mm_stat, io_stat and bd_stat in zram's order, names and units.
  std::uint64_t orig_data_size = 0;
  std::uint64_t compr_data_size = 0;
  std::uint64_t mem_used_total = 0;
  std::uint64_t mem_limit = 0;
  std::uint64_t mem_used_max = 0;
  std::uint64_t same_pages = 0;
  std::uint64_t pages_compacted = 0;
  std::uint64_t huge_pages = 0;
  std::uint64_t huge_pages_since = 0;
  std::uint64_t failed_reads = 0;
  std::uint64_t failed_writes = 0;
  std::uint64_t invalid_io = 0;
  std::uint64_t notify_free = 0;
  std::uint64_t bd_count = 0;
  std::uint64_t bd_reads = 0;
  std::uint64_t bd_writes = 0;

  // Ours.
  std::uint64_t corrupt_pages = 0;
  std::uint64_t no_reserve_writes = 0;
  std::uint64_t over_limit_writes = 0;
  std::uint64_t pages_recompressed = 0;
  std::uint64_t recompress_saved = 0;        // bytes
  std::uint64_t pages_grouped = 0;           // now
  std::uint64_t backing_bytes = 0;           // size of the backing device
  std::uint64_t backing_failures = 0;        // reads and writes that it has failed
  std::uint64_t pages_written_back = 0;      // now
  std::uint64_t writeback_limit = 0;         // blocks of 4096 bytes that may still be written
  std::uint64_t writeback_limit_enable = 0;  // 1 where the limit is in force
  std::uint64_t slot_table_bytes = 0;
  std::uint64_t metadata_bytes = 0;
  std::uint64_t reserve_bytes = 0;
  std::uint64_t resident_bytes = 0;  // of the store's memory, as the kernel counts it
  // Memory of all processes of the daemon (Pss, so that shared pages count once) without the slot
  // table and the pool pages that hold objects.
  std::uint64_t daemon_bytes = 0;
  std::uint64_t busy_ns = 0;  // time that queue threads spent serving
  LatencyStatus read;
  LatencyStatus write;
  LatencyStatus discard;  // and write-zeroes
};

nlohmann::json to_json(const DeviceStatus& status);
// EBADMSG where a key is missing or of another type.
Result<DeviceStatus> status_from_json(const nlohmann::json& json);

// The line of /sys/block/zramN/mm_stat, io_stat and bd_stat, exactly as the kernel prints it, with
// the newline (drivers/block/zram/zram_drv.c: mm_stat_show, io_stat_show, bd_stat_show).
std::string mm_stat_line(const DeviceStatus& status);
std::string io_stat_line(const DeviceStatus& status);
std::string bd_stat_line(const DeviceStatus& status);

}  // namespace pleat::control
