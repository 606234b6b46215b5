// SPDX-License-Identifier: MIT OR Apache-2.0
#include "config/memory_total.h"

#include <cerrno>
#include <cstdio>
#include <fstream>

namespace pleat::config {

Result<std::uint64_t> memory_total_bytes(const std::string& meminfo_path) {
  std::ifstream file(meminfo_path);
  if (!file) return errno_error("cannot read " + meminfo_path);
  std::string line;
  while (std::getline(file, line)) {
    unsigned long long kilobytes = 0;
    // The kernel writes "kB" and means 1024 bytes (fs/proc/meminfo.c: show_val_kb).
    if (std::sscanf(line.c_str(), "MemTotal: %llu kB", &kilobytes) == 1 && kilobytes > 0) {
      return std::uint64_t{kilobytes} * 1024;
    }
  }
  return Error{EBADMSG, meminfo_path + " has no MemTotal line"};
}

}  // namespace pleat::config
