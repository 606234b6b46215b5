// SPDX-License-Identifier: MIT OR Apache-2.0
#include "control/status.h"

#include <cerrno>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>

namespace pleat::control {
namespace {

using nlohmann::json;

// Calls visit(key, field) for every field: the one list that both directions use.
template <typename Latency, typename Visitor>
void visit_latency(Latency& latency, Visitor&& visit) {
  visit("requests", latency.requests);
  visit("bytes", latency.bytes);
  visit("total_ns", latency.total_ns);
  visit("p50_ns", latency.p50_ns);
  visit("p90_ns", latency.p90_ns);
  visit("p99_ns", latency.p99_ns);
  visit("p999_ns", latency.p999_ns);
  visit("max_ns", latency.max_ns);
  visit("buckets", latency.buckets);
}

template <typename Status, typename Visitor>
void visit_status(Status& status, Visitor&& visit) {
  visit("name", status.name);
  visit("path", status.path);
  visit("transport", status.transport);
  visit("transport_reason", status.transport_reason);
  visit("features", status.features);
  visit("id", status.id);
  visit("pid", status.pid);
  visit("stand_bys", status.stand_bys);
  visit("take_overs", status.take_overs);
  visit("version", status.version);
  visit("isa", status.isa);
  visit("algorithm", status.algorithm);
  visit("recomp_algorithm", status.recomp_algorithm);
  visit("backing_dev", status.backing_dev);
  visit("backing_error", status.backing_error);
  visit("queues", status.queues);
  visit("queue_depth", status.queue_depth);
  visit("block_bytes", status.block_bytes);
  visit("disksize", status.disksize);
  visit("disksize_max", status.disksize_max);
  visit("uptime_ms", status.uptime_ms);
  visit("orig_data_size", status.orig_data_size);
  visit("compr_data_size", status.compr_data_size);
  visit("mem_used_total", status.mem_used_total);
  visit("mem_limit", status.mem_limit);
  visit("mem_used_max", status.mem_used_max);
  visit("same_pages", status.same_pages);
  visit("pages_compacted", status.pages_compacted);
  visit("huge_pages", status.huge_pages);
  visit("huge_pages_since", status.huge_pages_since);
  visit("failed_reads", status.failed_reads);
  visit("failed_writes", status.failed_writes);
  visit("invalid_io", status.invalid_io);
  visit("notify_free", status.notify_free);
  visit("bd_count", status.bd_count);
  visit("bd_reads", status.bd_reads);
  visit("bd_writes", status.bd_writes);
  visit("corrupt_pages", status.corrupt_pages);
  visit("no_reserve_writes", status.no_reserve_writes);
  visit("over_limit_writes", status.over_limit_writes);
  visit("pages_recompressed", status.pages_recompressed);
  visit("recompress_saved", status.recompress_saved);
  visit("pages_grouped", status.pages_grouped);
  visit("backing_bytes", status.backing_bytes);
  visit("backing_failures", status.backing_failures);
  visit("pages_written_back", status.pages_written_back);
  visit("writeback_limit", status.writeback_limit);
  visit("writeback_limit_enable", status.writeback_limit_enable);
  visit("slot_table_bytes", status.slot_table_bytes);
  visit("metadata_bytes", status.metadata_bytes);
  visit("reserve_bytes", status.reserve_bytes);
  visit("resident_bytes", status.resident_bytes);
  visit("daemon_bytes", status.daemon_bytes);
  visit("busy_ns", status.busy_ns);
  visit("read", status.read);
  visit("write", status.write);
  visit("discard", status.discard);
}

// Each read() takes the value only where it has the field's type and range; false otherwise.
bool read(const json& value, std::string& field) {
  if (!value.is_string()) return false;
  field = value.get<std::string>();
  return true;
}

bool read(const json& value, std::vector<std::string>& field) {
  if (!value.is_array()) return false;
  field.clear();
  for (const json& element : value) {
    if (!read(element, field.emplace_back())) return false;
  }
  return true;
}

template <std::unsigned_integral T>
bool read(const json& value, T& field) {
  // The library calls a number signed where it was built from a signed one, whatever its sign.
  if (!value.is_number_integer()) return false;
  if (!value.is_number_unsigned() && value.get<std::int64_t>() < 0) return false;
  const auto number = value.get<std::uint64_t>();
  if (number > std::numeric_limits<T>::max()) return false;
  field = static_cast<T>(number);
  return true;
}

template <std::signed_integral T>
bool read(const json& value, T& field) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
    return false;
  }
  const auto number = value.get<std::int64_t>();
  if (number < std::numeric_limits<T>::min() || number > std::numeric_limits<T>::max()) {
    return false;
  }
  field = static_cast<T>(number);
  return true;
}

bool read(const json& value, LatencyBuckets& field) {
  if (!value.is_array() || value.size() != field.size()) return false;
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (!read(value[i], field[i])) return false;
  }
  return true;
}

bool read(const json& value, LatencyStatus& field) {
  bool good = value.is_object();
  if (!good) return false;
  visit_latency(field, [&](const char* key, auto& member) {
    const auto found = value.find(key);
    good = good && found != value.end() && read(*found, member);
  });
  return good;
}

// The JSON of one field.
template <typename T>
json json_of(const T& field) {
  return field;
}

json json_of(const LatencyStatus& latency) {
  json object = json::object();
  visit_latency(latency, [&](const char* key, const auto& member) { object[key] = member; });
  return object;
}

}  // namespace

json to_json(const DeviceStatus& status) {
  json object = json::object();
  visit_status(status, [&](const char* key, const auto& field) { object[key] = json_of(field); });
  return object;
}

Result<DeviceStatus> status_from_json(const json& object) {
  if (!object.is_object()) return Error{EBADMSG, "the status is no JSON object"};
  DeviceStatus status;
  std::string bad_key;
  visit_status(status, [&](const char* key, auto& field) {
    const auto found = object.find(key);
    const bool good = found != object.end() && read(*found, field);
    if (!good && bad_key.empty()) bad_key = key;
  });
  if (!bad_key.empty()) {
    return Error{EBADMSG, "the status lacks a valid '" + bad_key +
                              "'; is the daemon older or "
                              "newer than this program?"};
  }
  return status;
}

}  // namespace pleat::control
