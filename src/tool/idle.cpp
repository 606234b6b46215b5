// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/idle.h"

#include <fmt/format.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/page.h"
#include "base/units.h"
#include "control/socket.h"
#include "tool/errors.h"
#include "tool/names.h"
#include "tool/zram_device.h"

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
  const Result<std::string> name = resolve_name(argument);
  if (!name) return name.error();
  nlohmann::json request{{"op", "idle"}};
  if (age_seconds) request["age"] = *age_seconds;
  const Result<nlohmann::json> answer = control::call(*name, request, kIdleTimeout_ms);
  if (!answer) return answer.error();
  const auto pages = answer->find("pages_idle");
  if (pages == answer->end() || !pages->is_number_unsigned()) {
    return Error{EBADMSG, "the daemon of " + *name + " does not say how many pages are idle"};
  }
  const auto count = pages->get<std::uint64_t>();
  return fmt::format("{} pages ({}) are idle", count, format_size(count * kPageSize));
}

}  // namespace

Result<void> mark_idle(const IdleOptions& options, const System& system, std::ostream& out) {
  std::vector<Error> errors;
  for (const std::string& name : options.names) {
    const auto zram = ZramDevice::named(name, system);
    const Result<std::string> done =
        zram ? mark_zram(*zram, options.age_seconds) : mark_pleat(name, options.age_seconds);
    if (done) {
      out << name << ": " << *done << '\n';
    } else {
      errors.push_back(done.error());
    }
  }
  return all_of(std::move(errors));
}

}  // namespace pleat::tool
