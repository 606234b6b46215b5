// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <utility>

#include "base/page.h"
#include "base/units.h"

namespace pleat::tool {
namespace {

using nlohmann::json;
using Kind = ColumnKind;

const control::DeviceStatus& of(const Device& device) { return *device.status; }

// DATA over TOTAL, as zramctl has it; there is none while nothing takes memory.
json compression_ratio(const Device& device) {
  if (of(device).mem_used_total == 0) return nullptr;
  return static_cast<double>(of(device).orig_data_size) /
         static_cast<double>(of(device).mem_used_total);
}

json state(const Device& device) { return device.status ? "running" : "not answering"; }

// A latency of a direction that had no request yet is unknown, not 0.
json latency(const control::LatencyStatus& direction, std::uint64_t value_ns) {
  return direction.requests == 0 ? json(nullptr) : json(value_ns);
}

constexpr std::array kColumns = {
    Column{"NAME", Kind::kText, "name of the device in Pleat",
           [](const Device& d) -> json { return d.name; }},
    Column{"DISKSIZE", Kind::kSize, "size of the device",
           [](const Device& d) -> json { return of(d).disksize; }},
    Column{"DATA", Kind::kSize, "uncompressed size of the stored pages",
           [](const Device& d) -> json { return of(d).orig_data_size; }},
    Column{"COMPR", Kind::kSize, "compressed size of the stored pages",
           [](const Device& d) -> json { return of(d).compr_data_size; }},
    Column{"ALGORITHM", Kind::kText, "codec of written pages",
           [](const Device& d) -> json { return of(d).algorithm; }},
    Column{"STREAMS", Kind::kNumber, "threads that compress at the same time: one a queue",
           [](const Device& d) -> json { return of(d).queues; }},
    Column{"ZERO-PAGES", Kind::kNumber, "same-filled pages, which take no pool memory",
           [](const Device& d) -> json { return of(d).same_pages; }},
    Column{"TOTAL", Kind::kSize, "memory that the stored pages take",
           [](const Device& d) -> json { return of(d).mem_used_total; }},
    Column{"MEM-LIMIT", Kind::kSize, "bound on that memory, 0 = none",
           [](const Device& d) -> json { return of(d).mem_limit; }},
    Column{"MEM-USED", Kind::kSize, "the most memory that the pages ever took",
           [](const Device& d) -> json { return of(d).mem_used_max; }},
    Column{"MIGRATED", Kind::kNumber, "pages freed by compaction (a count)",
           [](const Device& d) -> json { return of(d).pages_compacted; }},
    Column{"COMP-RATIO", Kind::kRatio, "DATA over TOTAL; none while TOTAL is 0", compression_ratio},
    Column{"MOUNTPOINT", Kind::kText, "[SWAP], or where the device is mounted",
           [](const Device& d) -> json { return d.mount_points; }},
    Column{"DEVICE", Kind::kText, "path of the device",
           [](const Device& d) -> json { return of(d).path; }},
    Column{"TRANSPORT", Kind::kText, "how requests reach the daemon: ublk or loop",
           [](const Device& d) -> json { return of(d).transport; }},
    Column{"STATE", Kind::kText, "running, or not answering", state},
    Column{"ID", Kind::kNumber, "the number in the path",
           [](const Device& d) -> json { return of(d).id; }},
    Column{"PID", Kind::kNumber, "process that serves the device",
           [](const Device& d) -> json { return of(d).pid; }},
    Column{"ISA", Kind::kText, "instruction set that the codec uses",
           [](const Device& d) -> json { return of(d).isa; }},
    Column{"DEPTH", Kind::kNumber, "requests in flight a queue",
           [](const Device& d) -> json { return of(d).queue_depth; }},
    Column{"BLOCK-SIZE", Kind::kNumber, "logical block size in bytes",
           [](const Device& d) -> json { return of(d).block_bytes; }},
    Column{"PAGES", Kind::kNumber, "pages stored, same-filled ones included",
           [](const Device& d) -> json { return of(d).orig_data_size / kPageSize; }},
    Column{"HUGE-PAGES", Kind::kNumber, "incompressible pages, which are stored raw",
           [](const Device& d) -> json { return of(d).huge_pages; }},
    Column{"DISCARDED", Kind::kNumber, "pages freed by discard (notify_free)",
           [](const Device& d) -> json { return of(d).notify_free; }},
    Column{"FAILED-READS", Kind::kNumber, "reads that failed",
           [](const Device& d) -> json { return of(d).failed_reads; }},
    Column{"FAILED-WRITES", Kind::kNumber, "writes that failed",
           [](const Device& d) -> json { return of(d).failed_writes; }},
    Column{"CORRUPT", Kind::kNumber, "pages that failed their check",
           [](const Device& d) -> json { return of(d).corrupt_pages; }},
    Column{"READ", Kind::kSize, "bytes read since the start",
           [](const Device& d) -> json { return of(d).read.bytes; }},
    Column{"WRITTEN", Kind::kSize, "bytes written since the start",
           [](const Device& d) -> json { return of(d).write.bytes; }},
    Column{"READ-P99", Kind::kDuration, "99 of 100 reads took at most this",
           [](const Device& d) { return latency(of(d).read, of(d).read.p99_ns); }},
    Column{"WRITE-P99", Kind::kDuration, "99 of 100 writes took at most this",
           [](const Device& d) { return latency(of(d).write, of(d).write.p99_ns); }},
    Column{"METADATA", Kind::kSize, "memory for slot table, headers and bitmaps",
           [](const Device& d) -> json { return of(d).slot_table_bytes + of(d).metadata_bytes; }},
    Column{"DAEMON", Kind::kSize, "memory of the daemon beside pages and slot table",
           [](const Device& d) -> json { return of(d).daemon_bytes; }},
    Column{"VERSION", Kind::kText, "version of the daemon",
           [](const Device& d) -> json { return of(d).version; }},
};

constexpr std::array<std::string_view, 10> kDefaultColumns = {
    "NAME", "DEVICE", "TRANSPORT", "ALGORITHM",  "DISKSIZE",
    "DATA", "COMPR",  "TOTAL",     "COMP-RATIO", "MOUNTPOINT"};

const Column* find_column(std::string_view name) {
  const auto same_letter = [](char a, char b) {
    return std::toupper(static_cast<unsigned char>(a)) == b;
  };
  for (const Column& column : kColumns) {
    if (std::equal(name.begin(), name.end(), column.name.begin(), column.name.end(), same_letter)) {
      return &column;
    }
  }
  return nullptr;
}

Error unknown_column(std::string_view name) {
  std::string message = "there is no column '" + std::string(name) + "'; there are";
  for (const Column& column : kColumns) message += " " + std::string(column.name);
  return Error{EINVAL, message};
}

// A list of texts, as MOUNTPOINT has it, with commas between.
std::string joined(const json& texts) {
  std::string text;
  for (const json& element : texts) {
    text += (text.empty() ? "" : ",") + element.get<std::string>();
  }
  return text.empty() ? "-" : text;
}

}  // namespace

std::string Column::json_key() const {
  std::string key(name);
  for (char& c : key) c = c == '-' ? '_' : static_cast<char>(std::tolower(c));
  return key;
}

std::span<const Column> all_columns() { return kColumns; }

Result<std::vector<const Column*>> select_columns(std::string_view list) {
  std::vector<const Column*> columns;
  if (list.empty() || list[0] == '+') {
    for (const std::string_view name : kDefaultColumns) columns.push_back(find_column(name));
    if (list.empty()) return columns;
    list.remove_prefix(1);
  }
  while (true) {
    const std::size_t end = list.find(',');
    const std::string_view name = list.substr(0, end);
    const Column* column = find_column(name);
    if (column == nullptr) return unknown_column(name);
    columns.push_back(column);
    if (end == std::string_view::npos) return columns;
    list.remove_prefix(end + 1);
  }
}

json column_value(const Column& column, const Device& device) {
  const bool known_always = column.name == "NAME" || column.name == "STATE";
  if (!device.status && !known_always) return nullptr;
  return column.value(device);
}

std::string column_text(const Column& column, const Device& device, bool exact) {
  // The path's column tells in the default table what STATE tells elsewhere.
  if (!device.status && column.name == "DEVICE") return "not answering";
  const json value = column_value(column, device);
  if (value.is_null()) return "-";
  if (value.is_array()) return joined(value);
  switch (column.kind) {
    case Kind::kText:
      return value.get<std::string>();
    case Kind::kRatio:
      return fmt::format("{:.2f}", value.get<double>());
    case Kind::kSize:
      if (!exact) return format_size(value.get<std::uint64_t>());
      break;
    case Kind::kDuration:
      if (!exact) return format_duration_ns(value.get<std::uint64_t>());
      break;
    case Kind::kNumber:
      break;
  }
  return value.dump();
}

std::string columns_help() {
  std::string text = "Columns:\n";
  for (const Column& column : kColumns) {
    const bool by_default = std::find(kDefaultColumns.begin(), kDefaultColumns.end(),
                                      column.name) != kDefaultColumns.end();
    text += fmt::format("  {:<13} {} {}\n", column.name, by_default ? '*' : ' ', column.help);
  }
  return text + "Those with * are shown unless -o says otherwise.\n";
}

}  // namespace pleat::tool
