// SPDX-License-Identifier: MIT OR Apache-2.0
// What /proc/sysvipc/shm says of a segment of System V shared memory.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace pleat::store {

struct SharedSegment {
  bool exists = false;
  bool locked = false;  // SHM_LOCK
  std::uint64_t resident_bytes = 0;
};

inline SharedSegment shared_segment(int id) {
  constexpr unsigned kLocked = 02000;  // SHM_LOCKED, linux/shm.h
  std::ifstream file("/proc/sysvipc/shm");
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    long key = 0;
    int found = 0;
    unsigned mode = 0;
    fields >> key >> found >> std::oct >> mode >> std::dec;
    if (found != id) continue;
    SharedSegment segment{true, (mode & kLocked) != 0, 0};
    // size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss
    for (int i = 0; i < 12; ++i) fields >> segment.resident_bytes;
    return segment;
  }
  return {};
}

}  // namespace pleat::store
