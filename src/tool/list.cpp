// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/list.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>

#include "control/socket.h"
#include "tool/columns.h"
#include "tool/errors.h"
#include "tool/names.h"

namespace pleat::tool {
namespace {

using Columns = std::vector<const Column*>;
using Row = std::vector<std::string>;

Result<Columns> chosen_columns(const ListOptions& options) {
  if (!options.output_all) return select_columns(options.output);
  Columns columns;
  for (const Column& column : all_columns()) columns.push_back(&column);
  return columns;
}

// The devices that are asked for, each once, in natural order.
Result<std::vector<Device>> chosen_devices(const ListOptions& options, const System& system) {
  std::vector<std::string> names = control::device_names();
  if (!options.names.empty()) {
    names.clear();
    for (const std::string& argument : options.names) {
      const Result<std::string> name = resolve_name(argument);
      if (!name) return name.error();
      names.push_back(*name);
    }
  }
  std::sort(names.begin(), names.end(), natural_less);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::vector<Device> devices;
  for (const std::string& name : names) {
    Device device = query_device(name, system);
    // A name that the user gave and that nobody ever made is an error, not a row. One that went
    // while the list was made is no device any more.
    if (!device.status && device.error.code == ENOENT) {
      if (!options.names.empty()) return device.error;
      continue;
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

// Raw cells hold no space, so that every line has the same number of words.
std::string raw_cell(const std::string& text) {
  std::string cell;
  for (const char c : text) {
    if (c == ' ') {
      cell += "\\x20";
    } else {
      cell += c;
    }
  }
  return cell;
}

void write_raw(const std::vector<Row>& rows, std::ostream& out) {
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) out << (i == 0 ? "" : " ") << raw_cell(row[i]);
    out << '\n';
  }
}

void write_aligned(const Columns& columns, const std::vector<Row>& rows, std::ostream& out) {
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      if (i != 0) line += ' ';
      line += columns[i]->right_aligned() ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

void write_table(const ListOptions& options, const Columns& columns,
                 const std::vector<Device>& devices, std::ostream& out) {
  std::vector<Row> rows;
  if (!options.no_headings) {
    Row& headings = rows.emplace_back();
    for (const Column* column : columns) headings.emplace_back(column->name);
  }
  for (const Device& device : devices) {
    Row& row = rows.emplace_back();
    for (const Column* column : columns) row.push_back(column_text(*column, device, options.bytes));
  }
  if (options.raw) {
    write_raw(rows, out);
  } else {
    write_aligned(columns, rows, out);
  }
}

void write_json(const Columns& columns, const std::vector<Device>& devices, std::ostream& out) {
  // Ordered, so that keys come in the order of the columns.
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Device& device : devices) {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (const Column* column : columns) {
      object[column->json_key()] = column_value(*column, device);
    }
    if (!device.status) object["error"] = device.error.message;
    list.push_back(std::move(object));
  }
  out << nlohmann::ordered_json{{"devices", std::move(list)}}.dump(2) << '\n';
}

}  // namespace

Result<void> list_devices(const ListOptions& options, const System& system, std::ostream& out) {
  const Result<Columns> columns = chosen_columns(options);
  if (!columns) return columns.error();
  const Result<std::vector<Device>> devices = chosen_devices(options, system);
  if (!devices) return devices.error();
  if (options.json) {
    write_json(*columns, *devices, out);
  } else if (!devices->empty()) {
    write_table(options, *columns, *devices, out);
  }
  std::vector<Error> errors;
  for (const Device& device : *devices) {
    if (!device.status) errors.push_back(device.error);
  }
  return all_of(std::move(errors));
}

}  // namespace pleat::tool
