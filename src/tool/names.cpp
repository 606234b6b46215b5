// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/names.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "control/socket.h"
#include "tool/device.h"

namespace pleat::tool {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The digits that `text` starts with, without leading zeros.
std::string_view leading_number(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && is_digit(text[end])) ++end;
  std::string_view digits = text.substr(0, end);
  while (digits.size() > 1 && digits[0] == '0') digits.remove_prefix(1);
  return digits;
}

std::size_t digit_count(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end;
}

}  // namespace

bool natural_less(std::string_view left, std::string_view right) {
  std::string_view l = left;
  std::string_view r = right;
  while (!l.empty() && !r.empty()) {
    if (is_digit(l[0]) && is_digit(r[0])) {
      const std::string_view l_number = leading_number(l);
      const std::string_view r_number = leading_number(r);
      if (l_number.size() != r_number.size()) return l_number.size() < r_number.size();
      if (l_number != r_number) return l_number < r_number;
      l.remove_prefix(digit_count(l));
      r.remove_prefix(digit_count(r));
    } else {
      if (l[0] != r[0]) return l[0] < r[0];
      l.remove_prefix(1);
      r.remove_prefix(1);
    }
  }
  if (l.empty() != r.empty()) return l.empty();
  // "a01" and "a1" have the same numbers; the text decides, so that the order is a total one.
  return left < right;
}

std::vector<std::string> chosen_names(const std::vector<std::string>& names, bool all,
                                      std::ostream& notes) {
  if (!all) return names;
  std::vector<std::string> there = control::device_names();
  std::sort(there.begin(), there.end(), natural_less);
  if (there.empty()) notes << "pleat: there are no devices\n";
  return there;
}

bool has_files(const std::string& name) {
  const std::string base = control::runtime_directory() + "/" + name;
  return access((base + ".sock").c_str(), F_OK) == 0 || access((base + ".json").c_str(), F_OK) == 0;
}

std::string first_free_name() {
  for (unsigned number = 0;; ++number) {
    std::string name = "pleat" + std::to_string(number);
    if (!has_files(name)) return name;
  }
}

Result<std::string> resolve_name(const std::string& argument) {
  if (!argument.starts_with("/")) {
    if (control::valid_name(argument)) return argument;
    return Error{EINVAL, "'" + argument + "' is no device name; see pleat list"};
  }
  for (const std::string& name : control::device_names()) {
    const Result<control::DeviceStatus> status = query_status(name);
    if (status && status->path == argument) return name;
  }
  return Error{ENOENT, "no device of ours has the path " + argument + "; see pleat list"};
}

}  // namespace pleat::tool
