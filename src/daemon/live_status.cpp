// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/live_status.h"

#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/histogram.h"

namespace pleat::daemon {

namespace {

control::LatencyStatus latency(const Histogram& ticks, std::uint64_t bytes) {
  control::LatencyStatus status;
  // Their sum is the number of requests, also while some are counted.
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
    const std::uint64_t count = ticks.count_in(i);
    if (count == 0) continue;
    const auto limit =
        std::lower_bound(control::kLatencyLimits_ns.begin(), control::kLatencyLimits_ns.end(),
                         ticks_to_ns(Histogram::bucket_end(i)));
    status.buckets[static_cast<std::size_t>(limit - control::kLatencyLimits_ns.begin())] += count;
    status.requests += count;
  }
  status.bytes = bytes;
  status.total_ns = ticks_to_ns(ticks.total());
  status.p50_ns = ticks_to_ns(ticks.quantile(0.5));
  status.p90_ns = ticks_to_ns(ticks.quantile(0.9));
  status.p99_ns = ticks_to_ns(ticks.quantile(0.99));
  status.p999_ns = ticks_to_ns(ticks.quantile(0.999));
  status.max_ns = ticks_to_ns(ticks.quantile(1.0));
  return status;
}

void add_queues(const std::vector<const device::QueueStats*>& queues,
                control::DeviceStatus& status) {
  Histogram reads;
  Histogram writes;
  Histogram discards;
  std::uint64_t read_bytes = 0;
  std::uint64_t write_bytes = 0;
  std::uint64_t discard_bytes = 0;
  std::uint64_t busy_ticks = 0;
  for (const device::QueueStats* const queue : queues) {
    reads.add(queue->read_ticks);
    writes.add(queue->write_ticks);
    discards.add(queue->discard_ticks);
    read_bytes += queue->read_bytes.load(std::memory_order_relaxed);
    write_bytes += queue->write_bytes.load(std::memory_order_relaxed);
    discard_bytes += queue->discard_bytes.load(std::memory_order_relaxed);
    busy_ticks += queue->busy_ticks.load(std::memory_order_relaxed);
    status.invalid_io += queue->invalid_requests.load(std::memory_order_relaxed);
  }
  status.read = latency(reads, read_bytes);
  status.write = latency(writes, write_bytes);
  status.discard = latency(discards, discard_bytes);
  status.busy_ns = ticks_to_ns(busy_ticks);
}

void add_store(const store::StoreStats& store, control::DeviceStatus& status) {
  status.disksize = store.device_bytes;
  status.disksize_max = store.device_bytes_max;
  status.orig_data_size = store.orig_data_size;
  status.compr_data_size = store.compr_data_size;
  status.mem_used_total = store.mem_used_total;
  status.mem_limit = store.mem_limit;
  status.mem_used_max = store.mem_used_max;
  status.same_pages = store.same_pages;
  status.pages_compacted = store.pages_compacted;
  status.huge_pages = store.huge_pages;
  status.huge_pages_since = store.huge_pages_since;
  status.failed_reads = store.failed_reads;
  status.failed_writes = store.failed_writes;
  status.notify_free = store.notify_free;
  status.corrupt_pages = store.corrupt_pages;
  status.no_reserve_writes = store.no_reserve_writes;
  status.over_limit_writes = store.over_limit_writes;
  status.pages_recompressed = store.pages_recompressed;
  status.recompress_saved = store.recompress_saved;
  status.pages_grouped = store.pages_grouped;
  status.bd_count = store.backing_used;
  status.bd_reads = store.backing_reads;
  status.bd_writes = store.backing_writes;
  status.backing_bytes = store.backing_bytes;
  status.backing_failures = store.backing_failures;
  status.pages_written_back = store.pages_written_back;
  status.writeback_limit = store.writeback_limit.value_or(0) / kPageSize;
  status.writeback_limit_enable = store.writeback_limit ? 1 : 0;
  status.slot_table_bytes = store.slot_table_bytes;
  status.metadata_bytes = store.metadata_bytes;
  status.reserve_bytes = store.reserve_bytes;
}

}  // namespace

control::DeviceStatus compose_status(const StatusSources& sources) {
  control::DeviceStatus status;
  status.name = sources.options.name;
  status.path = sources.transport.path;
  status.transport = device::to_string(sources.transport.kind);
  status.transport_reason = sources.transport_reason;
  status.features = sources.transport.features;
  status.features.insert(status.features.end(), sources.notes.begin(), sources.notes.end());
  status.id = sources.transport.id;
  status.pid = getpid();
  status.stand_bys = sources.stand_bys;
  status.take_overs = sources.take_overs;
  status.version = PLEAT_VERSION;
  status.isa = sources.isa;
  status.algorithm = sources.options.algorithm;
  status.recomp_algorithm = sources.options.recompress;
  status.backing_dev = sources.options.writeback_device;
  if (!sources.backing_state) status.backing_error = sources.backing_state.error().message;
  status.queues = sources.transport.queues;
  status.queue_depth = sources.transport.depth;
  status.block_bytes = sources.options.block_bytes;
  status.uptime_ms = sources.uptime_ns / 1'000'000;
  add_store(sources.store, status);
  add_queues(sources.queues, status);
  status.resident_bytes = sources.resident_bytes;
  const std::uint64_t stored_bytes = sources.store.slot_table_bytes + sources.store.mem_used_total;
  status.daemon_bytes = sources.pss_bytes > stored_bytes ? sources.pss_bytes - stored_bytes : 0;
  return status;
}

}  // namespace pleat::daemon
