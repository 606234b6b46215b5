// SPDX-License-Identifier: MIT OR Apache-2.0
// The columns of `pleat list`: one table from which headings, values, alignment, JSON and the help
// text all come.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tool/device.h"

namespace pleat::tool {

enum class ColumnKind : std::uint8_t {
  kText,      // left aligned
  kNumber,    // a count or an id
  kSize,      // bytes, shown as 1.5G unless bytes are asked for
  kRatio,     // two decimals
  kDuration,  // nanoseconds, shown as 1.50ms unless bytes are asked for
};

struct Column {
  std::string_view name;
  ColumnKind kind;
  std::string_view help;
  // null where the device has no such value. Called only for devices that answer, but for NAME and
  // STATE.
  nlohmann::json (*value)(const Device& device);

  bool right_aligned() const noexcept { return kind != ColumnKind::kText; }
  // The name in lower case with '_' for '-': "comp_ratio".
  std::string json_key() const;
};

// All columns: zramctl's in its order, then ours.
std::span<const Column> all_columns();

// The columns of a LIST "NAME,SIZE" in its order, in any case; "+LIST" puts them behind the default
// ones; empty means the default ones. EINVAL names what is unknown and what there is.
Result<std::vector<const Column*>> select_columns(std::string_view list);

// The device's value of the column, null where it does not answer.
nlohmann::json column_value(const Column& column, const Device& device);

// That value for people: "-" where there is none. `exact` shows sizes in bytes and durations in
// nanoseconds.
std::string column_text(const Column& column, const Device& device, bool exact);

// A line a column, for the help text.
std::string columns_help();

}  // namespace pleat::tool
