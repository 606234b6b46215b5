// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/zram_device.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "base/unique_fd.h"
#include "tool/names.h"

namespace pleat::tool {

std::optional<ZramDevice> ZramDevice::named(std::string_view argument, const System& system) {
  constexpr std::string_view kFolder = "/dev/";
  constexpr std::string_view kZram = "zram";
  if (has_files(std::string(argument))) return std::nullopt;
  if (argument.starts_with(kFolder)) argument.remove_prefix(kFolder.size());
  if (!argument.starts_with(kZram) || argument.size() == kZram.size()) return std::nullopt;
  const std::string_view number = argument.substr(kZram.size());
  if (number.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  const std::string name(argument);
  return ZramDevice(name, system.root + "/sys/block/" + name);
}

Result<std::uint64_t> ZramDevice::number(const std::string& attribute, unsigned index) const {
  std::ifstream file(folder_ + "/" + attribute);
  std::uint64_t value = 0;
  for (unsigned field = 0; field <= index; ++field) file >> value;
  if (!file) return Error{EIO, "cannot read " + folder_ + "/" + attribute};
  return value;
}

Result<void> ZramDevice::write(const std::string& attribute, const std::string& value) const {
  if (access(folder_.c_str(), F_OK) != 0) return Error{ENOENT, "no device " + name_};
  const std::string path = folder_ + "/" + attribute;
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) {
    return Error{EOPNOTSUPP, "this kernel's zram has no " + attribute + " (no " + path + ")"};
  }
  if (!file) return errno_error("cannot open " + path + "; run as root");
  if (::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size())) {
    return {};
  }
  const Error error = errno_error("cannot write \"" + value + "\" to " + path);
  const auto initialised = number("initstate", 0);
  if (error.code == EINVAL && initialised && *initialised == 0) {
    return Error{ENODEV, name_ + " has no size yet; there is nothing in it"};
  }
  return error;
}

}  // namespace pleat::tool
