// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/text_table.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace pleat::tool {
namespace {

bool is_number(const std::string& cell) {
  return cell.empty() || std::isdigit(static_cast<unsigned char>(cell.front())) != 0 ||
         cell.front() == '.' || cell.front() == '-';
}

std::string padded(const std::string& cell, std::size_t width, bool right) {
  const std::string space(width - cell.size(), ' ');
  return right ? space + cell : cell + space;
}

}  // namespace

std::string markdown_table(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return {};
  const std::size_t columns = rows.front().size();
  std::vector<std::size_t> widths(columns, 3);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<bool> right(columns);
  for (std::size_t i = 0; i < columns; ++i) right[i] = is_number(rows.back()[i]);

  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t i = 0; i < columns; ++i) {
      text += "| " + padded(rows[r][i], widths[i], right[i]) + " ";
    }
    text += "|\n";
    if (r != 0) continue;
    for (std::size_t i = 0; i < columns; ++i) {
      text += right[i] ? "|" + std::string(widths[i] + 1, '-') + ":"
                       : "|" + std::string(widths[i] + 2, '-');
    }
    text += "|\n";
  }
  return text;
}

}  // namespace pleat::tool
