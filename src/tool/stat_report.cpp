// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/stat_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/page.h"
#include "base/units.h"
#include "tool/names.h"

namespace pleat::tool {
namespace {

using control::DeviceStatus;
using control::LatencyStatus;

// A line of the report: a label and what there is to say, in a column of its own.
std::string line(std::string_view label, const std::string& text) {
  return fmt::format("  {:<15} {}\n", label, text);
}

std::string joined(const std::vector<std::string>& words, const std::string& where_none) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text.empty() ? where_none : text;
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "none stored";
  return fmt::format("{:.1f}%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

// "3d 4h", "2h 5m", "1m 1s" or "12s".
std::string uptime(std::uint64_t uptime_ms) {
  const std::uint64_t seconds = uptime_ms / 1000;
  if (seconds >= 86'400) return fmt::format("{}d {}h", seconds / 86'400, seconds / 3600 % 24);
  if (seconds >= 3600) return fmt::format("{}h {}m", seconds / 3600, seconds / 60 % 60);
  if (seconds >= 60) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  return fmt::format("{}s", seconds);
}

std::string device_section(const Device& device) {
  const DeviceStatus& status = *device.status;
  std::string text = fmt::format("{}: {}, {}, {} ({})\n", status.name, status.path,
                                 format_size(status.disksize), status.algorithm, status.isa);
  text += line("Size", fmt::format("{}, can be set to {}", format_size(status.disksize),
                                   format_size(status.disksize_max)));
  text += line("Transport", status.transport_reason);
  text += line("Features", joined(status.features, "none"));
  text += line("Queues", fmt::format("{} of {} requests, blocks of {} bytes", status.queues,
                                     status.queue_depth, status.block_bytes));
  text += line("Daemon", fmt::format("pid {}, {} stand-bys, {} take-overs, version {}, up {}",
                                     status.pid, status.stand_bys, status.take_overs,
                                     status.version, uptime(status.uptime_ms)));
  text += line("Used as", joined(device.mount_points, "nothing now"));
  return text;
}

std::string memory_limit(const DeviceStatus& status) {
  return status.mem_limit == 0 ? "no limit" : "limit " + format_size(status.mem_limit);
}

std::string ratio(const DeviceStatus& status) {
  if (status.mem_used_total == 0) return "- (nothing takes memory)";
  // Counters are not of one instant.
  const std::uint64_t elsewhere = status.pages_written_back * kPageSize;
  const auto in_memory =
      static_cast<double>(status.orig_data_size - std::min(elsewhere, status.orig_data_size));
  return fmt::format(
      "{:.2f} (pages over the memory they take; {:.2f} over their compressed bytes)",
      in_memory / static_cast<double>(status.mem_used_total),
      in_memory / static_cast<double>(std::max<std::uint64_t>(status.compr_data_size, 1)));
}

std::string writeback_line(const DeviceStatus& status) {
  if (!status.backing_error.empty()) {
    return line("WRITEBACK", fmt::format("{} pages cannot be read: {}", status.pages_written_back,
                                         status.backing_error));
  }
  const std::string limit =
      status.writeback_limit_enable == 0
          ? "no limit"
          : format_size(status.writeback_limit * kPageSize) + " may still be written";
  return line(
      "Written back",
      fmt::format("{} pages in {} of {} ({}), {} read, {} written, {} failures, {}",
                  status.pages_written_back, format_size(status.bd_count * kPageSize),
                  format_size(status.backing_bytes), status.backing_dev,
                  format_size(status.bd_reads * kPageSize),
                  format_size(status.bd_writes * kPageSize), status.backing_failures, limit));
}

std::string page_section(const DeviceStatus& status) {
  const std::uint64_t pages = status.orig_data_size / kPageSize;
  std::string text =
      line("Pages stored", fmt::format("{}, {}", pages, format_size(status.orig_data_size)));
  text += line("Memory",
               fmt::format("{} for them ({} compressed), at most {} so far, {}",
                           format_size(status.mem_used_total), format_size(status.compr_data_size),
                           format_size(status.mem_used_max), memory_limit(status)));
  text += line("Ratio", ratio(status));
  text += line("Same-filled",
               fmt::format("{} pages, {}", status.same_pages, percent(status.same_pages, pages)));
  text += line("Incompressible",
               fmt::format("{} pages, {}; {} since the start", status.huge_pages,
                           percent(status.huge_pages, pages), status.huge_pages_since));
  if (!status.recomp_algorithm.empty()) {
    text += line("Recompressed",
                 fmt::format("{} pages with {}, {} saved since the start; {} in groups now",
                             status.pages_recompressed, status.recomp_algorithm,
                             format_size(status.recompress_saved), status.pages_grouped));
  }
  if (!status.backing_dev.empty()) text += writeback_line(status);
  text += line("Discarded", fmt::format("{} pages", status.notify_free));
  text += line("Failed",
               fmt::format("{} reads, {} writes ({} for want of memory at that moment, "
                           "{} at the memory limit), {} invalid requests",
                           status.failed_reads, status.failed_writes, status.no_reserve_writes,
                           status.over_limit_writes, status.invalid_io));
  // Said only where it happened: it means broken memory, and should be seen.
  if (status.corrupt_pages != 0) {
    text +=
        line("CORRUPT", fmt::format("{} pages failed their check when they were read; test this "
                                    "machine's memory",
                                    status.corrupt_pages));
  }
  return text;
}

std::string latency_line(std::string_view label, const LatencyStatus& latency) {
  if (latency.requests == 0) return line(label, "none yet");
  return line(
      label,
      fmt::format("{} requests, {}; p50 {}, p90 {}, p99 {}, p99.9 {}, max {}", latency.requests,
                  format_size(latency.bytes), format_duration_ns(latency.p50_ns),
                  format_duration_ns(latency.p90_ns), format_duration_ns(latency.p99_ns),
                  format_duration_ns(latency.p999_ns), format_duration_ns(latency.max_ns)));
}

std::string service_section(const DeviceStatus& status) {
  const std::string text = latency_line("Reads", status.read) +
                           latency_line("Writes", status.write) +
                           latency_line("Discards", status.discard);
  const std::uint64_t bytes = status.read.bytes + status.write.bytes;
  std::string busy = format_duration_ns(status.busy_ns) + " of all queue threads together";
  if (status.busy_ns != 0) {
    const double bytes_per_s =
        static_cast<double>(bytes) * 1e9 / static_cast<double>(status.busy_ns);
    busy += fmt::format("; {} moved, {}/s of busy time", format_size(bytes),
                        format_size(static_cast<std::uint64_t>(bytes_per_s)));
  }
  return text + line("Busy", busy);
}

std::string cost_section(const DeviceStatus& status) {
  return line("Own memory",
              fmt::format("{} for the daemon's processes, {} for the slot table, {} "
                          "for headers and bitmaps, {} ready for writes",
                          format_size(status.daemon_bytes), format_size(status.slot_table_bytes),
                          format_size(status.metadata_bytes), format_size(status.reserve_bytes))) +
         line("Resident", format_size(status.resident_bytes) + " of the store's memory in all");
}

// What a user of swap would wonder about.
std::string notes(const Device& device, const System& system) {
  const bool swap = std::find(device.mount_points.begin(), device.mount_points.end(), "[SWAP]") !=
                    device.mount_points.end();
  if (!swap || !system.kernel_at_least(6, 12)) return {};
  return "\nLinux from 6.12 on keeps all-zero pages of swap in a bitmap of its own and never "
         "writes\n"
         "them to the device: so there are few same-filled pages here, and fewer pages than the\n"
         "Used of /proc/swaps.\n";
}

nlohmann::json stat_json(const Device& device) {
  nlohmann::json object = control::to_json(*device.status);
  object["mountpoint"] = device.mount_points;
  return object;
}

}  // namespace

std::string stat_report(const Device& device, const System& system) {
  const DeviceStatus& status = *device.status;
  return device_section(device) + "\n" + page_section(status) + "\n" + service_section(status) +
         "\n" + cost_section(status) + notes(device, system);
}

Result<void> show_stat(const StatOptions& options, const System& system, std::ostream& out) {
  const Result<std::string> name = resolve_name(options.name);
  if (!name) return name.error();
  const Device device = query_device(*name, system);
  if (!device.status) return device.error;
  if (options.json) {
    out << stat_json(device).dump(2) << '\n';
  } else if (options.mm_stat || options.io_stat || options.bd_stat) {
    if (options.mm_stat) out << control::mm_stat_line(*device.status);
    if (options.io_stat) out << control::io_stat_line(*device.status);
    if (options.bd_stat) out << control::bd_stat_line(*device.status);
  } else {
    out << stat_report(device, system);
  }
  return {};
}

}  // namespace pleat::tool
