// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/compact.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/page.h"
#include "base/unique_fd.h"
#include "base/units.h"
#include "control/socket.h"
#include "tool/errors.h"
#include "tool/names.h"

namespace pleat::tool {
namespace {

// A pool of a terabyte would take a few seconds.
constexpr unsigned kCompactTimeout_ms = 60'000;

// "zram0" of zram0 and /dev/zram0; empty where `argument` is no name of a kernel zram device.
std::string zram_name(std::string_view argument) {
  constexpr std::string_view kFolder = "/dev/";
  constexpr std::string_view kZram = "zram";
  if (argument.starts_with(kFolder)) argument.remove_prefix(kFolder.size());
  if (!argument.starts_with(kZram) || argument.size() == kZram.size()) return {};
  const std::string_view number = argument.substr(kZram.size());
  const bool is_number = number.find_first_not_of("0123456789") == std::string_view::npos;
  return is_number ? std::string(argument) : std::string();
}

// pages_compacted of mm_stat, which is its seventh number.
Result<std::uint64_t> zram_pages_compacted(const std::string& folder) {
  std::ifstream file(folder + "/mm_stat");
  std::uint64_t value = 0;
  for (int field = 0; field < 7; ++field) file >> value;
  if (!file) return Error{EIO, "cannot read " + folder + "/mm_stat"};
  return value;
}

// The pages that this frees.
Result<std::uint64_t> compact_zram(const std::string& name, const System& system) {
  const std::string folder = system.root + "/sys/block/" + name;
  if (access(folder.c_str(), F_OK) != 0) return Error{ENOENT, "no device " + name};
  const Result<std::uint64_t> before = zram_pages_compacted(folder);
  if (!before) return before;
  const std::string path = folder + "/compact";
  const UniqueFd attribute(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!attribute) return errno_error("cannot open " + path + "; run as root");
  if (write(attribute.get(), "1", 1) != 1) {
    if (errno == EINVAL) return Error{ENODEV, name + " has no size yet; there is nothing in it"};
    return errno_error("cannot write to " + path);
  }
  const Result<std::uint64_t> after = zram_pages_compacted(folder);
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
  // A Pleat device may have the name of one of zram's.
  const std::string zram = zram_name(argument);
  if (zram.empty() || has_files(argument)) return compact_pleat(argument);
  return compact_zram(zram, system);
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
