// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/system.h"

#include <sys/swap.h>
#include <sys/utsname.h>

#include <cerrno>
#include <cstdio>

namespace pleat::tool {

System System::real() {
  System system;
  utsname name{};
  if (uname(&name) == 0) system.kernel_release = name.release;
  system.swap_on = [](const std::string& path, int flags) -> Result<void> {
    if (swapon(path.c_str(), flags) == 0) return {};
    const int code = errno;
    std::string what = "cannot swap to " + path;
    if (code == EPERM) what += " (run as root)";
    return errno_error(code, what);
  };
  system.swap_off = [](const std::string& path) -> Result<void> {
    if (swapoff(path.c_str()) == 0) return {};
    const int code = errno;
    std::string what = "cannot take " + path + " out of swap";
    if (code == ENOMEM) what += " (its pages do not fit in memory; end a program or add swap)";
    if (code == EPERM) what += " (run as root)";
    return errno_error(code, what);
  };
  return system;
}

bool System::kernel_at_least(unsigned major, unsigned minor) const {
  unsigned here_major = 0;
  unsigned here_minor = 0;
  if (std::sscanf(kernel_release.c_str(), "%u.%u", &here_major, &here_minor) != 2) return false;
  return here_major > major || (here_major == major && here_minor >= minor);
}

}  // namespace pleat::tool
