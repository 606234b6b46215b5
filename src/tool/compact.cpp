// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/compact.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/page.h"
#include "base/units.h"
#include "tool/either_device.h"

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

std::string freed(std::uint64_t pages) {
  return fmt::format("{} pages ({}) freed", pages, format_size(pages * kPageSize));
}

}  // namespace

Result<void> compact_devices(const std::vector<std::string>& names, const System& system,
                             std::ostream& out) {
  return for_either_device(
      names, system, out,
      [](const ZramDevice& device) -> Result<std::string> {
        const auto pages = compact_zram(device);
        if (!pages) return pages.error();
        return freed(*pages);
      },
      [](const std::string& argument) -> Result<std::string> {
        const auto pages = ask_for_number(argument, {{"op", "compact"}}, kCompactTimeout_ms,
                                          "pages_compacted", "what it has freed");
        if (!pages) return pages.error();
        return freed(*pages);
      });
}

}  // namespace pleat::tool
