// SPDX-License-Identifier: MIT OR Apache-2.0
#include "control/metrics.h"

#include <string_view>

namespace pleat::control {
namespace {

// A metric of one number. The name's end says its unit.
struct Metric {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  std::uint64_t (*value)(const DeviceStatus& status);  // of _seconds in nanoseconds
};

constexpr Metric kMetrics[] = {
    {"disk_size_bytes", "gauge", "Size of the device.",
     [](const DeviceStatus& s) { return s.disksize; }},
    {"disk_size_max_bytes", "gauge", "The largest size that the device can be set to.",
     [](const DeviceStatus& s) { return s.disksize_max; }},
    {"uptime_seconds", "gauge", "Time since the daemon started.",
     [](const DeviceStatus& s) { return s.uptime_ms * 1'000'000; }},
    {"stand_bys", "gauge", "Processes that are ready to serve the device.",
     [](const DeviceStatus& s) { return std::uint64_t{s.stand_bys}; }},
    {"take_overs_total", "counter", "Times that a stand-by took the place of a dead worker.",
     [](const DeviceStatus& s) { return s.take_overs; }},
    {"stored_bytes", "gauge", "Stored pages before compression, same-filled ones included.",
     [](const DeviceStatus& s) { return s.orig_data_size; }},
    {"compressed_bytes", "gauge", "Compressed and raw pages, without headers.",
     [](const DeviceStatus& s) { return s.compr_data_size; }},
    {"pool_used_bytes", "gauge", "Pool memory that holds pages.",
     [](const DeviceStatus& s) { return s.mem_used_total; }},
    {"pool_used_peak_bytes", "gauge", "The most pool memory that held pages.",
     [](const DeviceStatus& s) { return s.mem_used_max; }},
    {"pool_limit_bytes", "gauge", "Bound on pool memory that holds pages, 0 for none.",
     [](const DeviceStatus& s) { return s.mem_limit; }},
    {"same_filled_pages", "gauge", "Stored pages that repeat one word.",
     [](const DeviceStatus& s) { return s.same_pages; }},
    {"incompressible_pages", "gauge", "Stored pages that are kept raw.",
     [](const DeviceStatus& s) { return s.huge_pages; }},
    {"incompressible_pages_written_total", "counter", "Pages that were ever stored raw.",
     [](const DeviceStatus& s) { return s.huge_pages_since; }},
    {"compacted_pages_total", "counter", "Pool pages that compaction freed.",
     [](const DeviceStatus& s) { return s.pages_compacted; }},
    {"discarded_pages_total", "counter", "Pages discarded, also where nothing was stored.",
     [](const DeviceStatus& s) { return s.notify_free; }},
    {"failed_reads_total", "counter", "Reads of a page that failed.",
     [](const DeviceStatus& s) { return s.failed_reads; }},
    {"failed_writes_total", "counter", "Writes of a page that failed, for whatever reason.",
     [](const DeviceStatus& s) { return s.failed_writes; }},
    {"no_reserve_writes_total", "counter", "Writes that failed because no memory was ready.",
     [](const DeviceStatus& s) { return s.no_reserve_writes; }},
    {"over_limit_writes_total", "counter", "Writes that failed at the memory limit.",
     [](const DeviceStatus& s) { return s.over_limit_writes; }},
    {"recompressed_pages_total", "counter", "Pages that recompression made smaller.",
     [](const DeviceStatus& s) { return s.pages_recompressed; }},
    {"recompress_saved_bytes_total", "counter", "Compressed bytes that recompression saved.",
     [](const DeviceStatus& s) { return s.recompress_saved; }},
    {"grouped_pages", "gauge", "Pages that are compressed together with their neighbours.",
     [](const DeviceStatus& s) { return s.pages_grouped; }},
    {"backing_used_blocks", "gauge", "Blocks of 4096 bytes in use on the writeback device.",
     [](const DeviceStatus& s) { return s.bd_count; }},
    {"backing_read_blocks_total", "counter", "Blocks read from the writeback device.",
     [](const DeviceStatus& s) { return s.bd_reads; }},
    {"backing_written_blocks_total", "counter", "Blocks written to the writeback device.",
     [](const DeviceStatus& s) { return s.bd_writes; }},
    {"backing_failures_total", "counter", "Reads and writes that the writeback device has failed.",
     [](const DeviceStatus& s) { return s.backing_failures; }},
    {"written_back_pages", "gauge", "Pages that are on the writeback device.",
     [](const DeviceStatus& s) { return s.pages_written_back; }},
    {"corrupt_pages_total", "counter", "Reads of a page that failed its check.",
     [](const DeviceStatus& s) { return s.corrupt_pages; }},
    {"invalid_requests_total", "counter", "Requests that the device does not have.",
     [](const DeviceStatus& s) { return s.invalid_io; }},
    {"slot_table_bytes", "gauge", "Memory of the slot table.",
     [](const DeviceStatus& s) { return s.slot_table_bytes; }},
    {"metadata_bytes", "gauge", "Memory of headers, page map and bitmaps in use.",
     [](const DeviceStatus& s) { return s.metadata_bytes; }},
    {"reserve_bytes", "gauge", "Pool memory that is ready and holds nothing.",
     [](const DeviceStatus& s) { return s.reserve_bytes; }},
    {"resident_bytes", "gauge", "Memory of the store, as the kernel counts it.",
     [](const DeviceStatus& s) { return s.resident_bytes; }},
    {"daemon_bytes", "gauge", "Memory of the daemon without slot table and stored pages.",
     [](const DeviceStatus& s) { return s.daemon_bytes; }},
    {"busy_seconds_total", "counter", "Time that queue threads spent with requests.",
     [](const DeviceStatus& s) { return s.busy_ns; }},
};

struct OperationMetric {
  std::string_view label;
  const LatencyStatus DeviceStatus::*latency;
};
constexpr OperationMetric kOperations[] = {{"read", &DeviceStatus::read},
                                           {"write", &DeviceStatus::write},
                                           {"discard", &DeviceStatus::discard}};

std::string seconds(std::uint64_t duration_ns) {
  std::string fraction = std::to_string(duration_ns % 1'000'000'000);
  fraction.insert(0, 9 - fraction.size(), '0');
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return std::to_string(duration_ns / 1'000'000'000) + (fraction.empty() ? "" : "." + fraction);
}

// name="value", with what the format wants escaped.
std::string label(std::string_view name, std::string_view value) {
  std::string text = std::string(name) + "=\"";
  for (const char letter : value) {
    if (letter == '\\' || letter == '"') text += '\\';
    if (letter == '\n') {
      text += "\\n";
    } else {
      text += letter;
    }
  }
  return text + "\"";
}

class Exposition {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = "pleat_" + std::string(name);
    text_ += "# HELP " + name_ + " " + std::string(help) + "\n";
    text_ += "# TYPE " + name_ + " " + std::string(type) + "\n";
  }
  // A sample of the family; `more` are labels besides the device's own.
  void sample(const DeviceStatus& status, const std::string& value, const std::string& more = {},
              std::string_view suffix = {}) {
    text_ += name_ + std::string(suffix) + "{" + label("device", status.name) + "," +
             label("algorithm", status.algorithm) + (more.empty() ? "" : "," + more) + "} " +
             value + "\n";
  }
  std::string take() { return std::move(text_); }

 private:
  std::string name_;
  std::string text_;
};

void add_histogram(Exposition& exposition, const DeviceStatus& status,
                   const OperationMetric& operation) {
  const LatencyStatus& latency = status.*operation.latency;
  const std::string op = label("op", operation.label);
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < latency.buckets.size(); ++i) {
    count += latency.buckets[i];
    const std::string limit = i < kLatencyLimits_ns.size() ? seconds(kLatencyLimits_ns[i]) : "+Inf";
    exposition.sample(status, std::to_string(count), op + "," + label("le", limit), "_bucket");
  }
  exposition.sample(status, seconds(latency.total_ns), op, "_sum");
  exposition.sample(status, std::to_string(count), op, "_count");
}

}  // namespace

std::string metrics_text(std::span<const DeviceStatus> devices) {
  if (devices.empty()) return {};
  Exposition exposition;
  exposition.family("device_info", "gauge", "What the device is, in labels; always 1.");
  for (const DeviceStatus& status : devices) {
    exposition.sample(status, "1",
                      label("path", status.path) + "," + label("transport", status.transport) +
                          "," + label("isa", status.isa) + "," + label("version", status.version));
  }
  for (const Metric& metric : kMetrics) {
    exposition.family(metric.name, metric.type, metric.help);
    const bool is_duration = metric.name.find("_seconds") != std::string_view::npos;
    for (const DeviceStatus& status : devices) {
      const std::uint64_t value = metric.value(status);
      exposition.sample(status, is_duration ? seconds(value) : std::to_string(value));
    }
  }
  exposition.family("request_bytes_total", "counter", "Bytes of requests that succeeded.");
  for (const DeviceStatus& status : devices) {
    for (const OperationMetric& operation : kOperations) {
      exposition.sample(status, std::to_string((status.*operation.latency).bytes),
                        label("op", operation.label));
    }
  }
  exposition.family("request_duration_seconds", "histogram",
                    "Service times of requests that succeeded.");
  for (const DeviceStatus& status : devices) {
    for (const OperationMetric& operation : kOperations) {
      add_histogram(exposition, status, operation);
    }
  }
  return exposition.take();
}

}  // namespace pleat::control
