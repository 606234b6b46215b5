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
  if (equals == std::string::npos || (key != "mem-limit" && key != "mem-used-max")) {
    return Error{EINVAL, "'" + text +
                             "' is not understood; write mem-limit=SIZE (0 = no limit) or "
                             "mem-used-max=0"};
  }
  const std::string value = text.substr(equals + 1);
  if (key == "mem-used-max") {
    if (value == "0") return Assignment{"mem_used_max", 0};
    return Error{EINVAL, "mem-used-max can only be set to 0, which makes the peak the current use"};
  }
  if (value == "0") return Assignment{"mem_limit", 0};
  const Result<std::uint64_t> bytes = config::evaluate_size(value);
  if (!bytes) return with_context(bytes.error(), "mem-limit");
  return Assignment{"mem_limit", *bytes};
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
