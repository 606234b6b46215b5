// SPDX-License-Identifier: MIT OR Apache-2.0
#include "control/paths.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "control/socket.h"

namespace pleat::control {
namespace {

constexpr std::string_view kSocketSuffix = ".sock";

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

}  // namespace

std::string runtime_directory() {
  const char* set = std::getenv("PLEAT_RUNTIME_DIR");
  return set != nullptr && *set != '\0' ? set : "/run/pleat";
}

std::string socket_path(const std::string& name) {
  return runtime_directory() + "/" + name + std::string(kSocketSuffix);
}

bool valid_name(const std::string& name) {
  constexpr std::size_t kLengthMax = 32;
  return !name.empty() && name.size() <= kLengthMax && name[0] != '.' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), is_name_character);
}

Result<sockaddr_un> socket_address(const std::string& name) {
  if (!valid_name(name)) {
    return Error{EINVAL, "'" + name +
                             "' is no device name; use 1 to 32 letters, digits, '_', '.' and '-', "
                             "not starting with '.' or '-'"};
  }
  const std::string path = socket_path(name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return errno_error(ENAMETOOLONG, path);
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

Result<void> make_runtime_directory() {
  const std::string directory = runtime_directory();
  if (mkdir(directory.c_str(), 0755) == 0) {
    // The umask may have taken bits away.
    if (chmod(directory.c_str(), 0755) != 0)
      return errno_error("cannot set the mode of " + directory);
    return {};
  }
  if (errno != EEXIST) return errno_error("cannot create " + directory);
  return {};
}

std::vector<std::string> device_names() {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(runtime_directory().c_str()),
                                                      closedir);
  if (!directory) return names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view file = entry->d_name;
    if (!file.ends_with(kSocketSuffix)) continue;
    const std::string name(file.substr(0, file.size() - kSocketSuffix.size()));
    if (valid_name(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace pleat::control
