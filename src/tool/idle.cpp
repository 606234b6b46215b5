// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/idle.h"

#include <fmt/format.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/page.h"
#include "base/units.h"
#include "tool/either_device.h"

namespace pleat::tool {
namespace {

// All pages of a device of a terabyte are looked at in some 10 s.
constexpr unsigned kIdleTimeout_ms = 60'000;

using AgeSeconds = std::optional<std::uint64_t>;

Result<std::string> mark_zram(const ZramDevice& device, AgeSeconds age_seconds) {
  auto marked = device.write("idle", age_seconds ? std::to_string(*age_seconds) : "all");
  if (!marked && marked.error().code == EINVAL && age_seconds) {
    return Error{EINVAL, "the kernel does not keep ages for " + device.name() +
                             " (CONFIG_ZRAM_TRACK_ENTRY_ACTIME); use --all"};
  }
  if (!marked) return marked.error();
  return std::string("marked");
}

Result<std::string> mark_pleat(const std::string& argument, AgeSeconds age_seconds) {
  nlohmann::json request{{"op", "idle"}};
  if (age_seconds) request["age"] = *age_seconds;
  const auto pages =
      ask_for_number(argument, request, kIdleTimeout_ms, "pages_idle", "how many pages are idle");
  if (!pages) return pages.error();
  return fmt::format("{} pages ({}) are idle", *pages, format_size(*pages * kPageSize));
}

}  // namespace

Result<void> mark_idle(const IdleOptions& options, const System& system, std::ostream& out) {
  const AgeSeconds age_seconds = options.age_seconds;
  return for_either_device(
      options.names, system, out,
      [age_seconds](const ZramDevice& device) { return mark_zram(device, age_seconds); },
      [age_seconds](const std::string& argument) { return mark_pleat(argument, age_seconds); });
}

}  // namespace pleat::tool
