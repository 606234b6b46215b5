// SPDX-License-Identifier: MIT OR Apache-2.0
// A kernel zram device by its attributes in sysfs, for the commands that serve those too.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tool/system.h"

namespace pleat::tool {

class ZramDevice {
 public:
  // What "zram0" or "/dev/zram0" names, there or not; nothing for other arguments, and where a
  // Pleat device has that name, which goes first.
  static std::optional<ZramDevice> named(std::string_view argument, const System& system);

  const std::string& name() const noexcept { return name_; }
  // The number at `index` of an attribute's line. EIO.
  Result<std::uint64_t> number(const std::string& attribute, unsigned index) const;
  // ENOENT where there is no such device, ENODEV where it has no size yet, EOPNOTSUPP where its
  // kernel lacks the attribute, EACCES without root; else what the kernel says.
  Result<void> write(const std::string& attribute, const std::string& value) const;

 private:
  ZramDevice(std::string name, std::string folder)
      : name_(std::move(name)), folder_(std::move(folder)) {}

  std::string name_;
  std::string folder_;  // in sysfs
};

}  // namespace pleat::tool
