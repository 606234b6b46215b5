// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/compact.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/page.h"
#include "base/units.h"
#include "control/socket.h"
#include "tool/errors.h"
#include "tool/names.h"
#include "tool/zram_device.h"

namespace pleat::tool {
namespace {

// A pool of a terabyte would take a few seconds.
constexpr unsigned kCompactTimeout_ms = 60'000;

// The pages that this frees.
Result<std::uint64_t> compact_zram(const ZramDevice& device) {
  // pages_compacted, the seventh number.
  const auto pages_compacted = [&device] { return device.number("mm_stat", 6); };
  const Result<std::uint64_t> before = pages_compacted();
  if (auto written = device.write("compact", "1"); !written) return written.error();
  if (!before) return before;
  const Result<std::uint64_t> after = pages_compacted();
  if (!after) return after;
  return *after - std::min(*before, *after);
}

Result<std::uint64_t> compact_pleat(const std::string& argument) {
  const Result<std::string> name = resolve_name(argument);
  if (!name) return name.error();
  const Result<nlohmann::json> answer =
      control::call(*name, {{"op", "compact"}}, kCompactTimeout_ms);
  if (!answer) return answer.error();
  const auto pages = answer->find("pages_compacted");
  if (pages == answer->end() || !pages->is_number_unsigned()) {
    return Error{EBADMSG, "the daemon of " + *name + " does not say what it has freed"};
  }
  return pages->get<std::uint64_t>();
}

Result<std::uint64_t> compact_device(const std::string& argument, const System& system) {
  const auto zram = ZramDevice::named(argument, system);
  return zram ? compact_zram(*zram) : compact_pleat(argument);
}

}  // namespace

Result<void> compact_devices(const std::vector<std::string>& names, const System& system,
                             std::ostream& out) {
  std::vector<Error> errors;
  for (const std::string& name : names) {
    const Result<std::uint64_t> pages = compact_device(name, system);
    if (pages) {
      out << fmt::format("{}: {} pages ({}) freed\n", name, *pages,
                         format_size(*pages * kPageSize));
    } else {
      errors.push_back(pages.error());
    }
  }
  return all_of(std::move(errors));
}

}  // namespace pleat::tool
