// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/attributes.h"

#include <cerrno>
#include <nlohmann/json.hpp>

#include "config/size_expression.h"
#include "control/socket.h"
#include "tool/names.h"

namespace pleat::tool {
namespace {

// The slot table of the largest device takes 20 s.
constexpr unsigned kSetTimeout_ms = 60'000;

}  // namespace

Result<Assignment> parse_assignment(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string key = text.substr(0, equals);
  const bool is_known = key == "mem-limit" || key == "mem-used-max" || key == "writeback-limit";
  if (equals == std::string::npos || !is_known) {
    return Error{EINVAL, "'" + text +
                             "' is not understood; write mem-limit=SIZE (0 = no limit), "
                             "mem-used-max=0, or writeback-limit=SIZE (none = no limit)"};
  }
  const std::string value = text.substr(equals + 1);
  if (key == "mem-used-max") {
    if (value == "0") return Assignment{"mem_used_max", 0};
    return Error{EINVAL, "mem-used-max can only be set to 0, which makes the peak the current use"};
  }
  const bool is_writeback = key == "writeback-limit";
  if (is_writeback && value == "none") return Assignment{"writeback_limit_enable", 0};
  const std::string attribute = is_writeback ? "writeback_limit" : "mem_limit";
  if (value == "0") return Assignment{attribute, 0};
  const Result<std::uint64_t> bytes = config::evaluate_size(value);
  if (!bytes) return with_context(bytes.error(), key);
  return Assignment{attribute, *bytes};
}

Result<void> set_attributes(const std::string& name, const std::vector<Assignment>& assignments) {
  const Result<std::string> device = resolve_name(name);
  if (!device) return device.error();
  for (const Assignment& assignment : assignments) {
    const Result<nlohmann::json> answer = control::call(
        *device, {{"op", "set"}, {"key", assignment.key}, {"value", assignment.value}},
        kSetTimeout_ms);
    if (!answer) return answer.error();
  }
  return {};
}

}  // namespace pleat::tool
