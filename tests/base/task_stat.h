// SPDX-License-Identifier: MIT OR Apache-2.0
// What /proc says of a thread, for tests that look whether it is what it should be.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace pleat {

// PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE, which PR_SET_IO_FLUSHER sets (include/linux/sched.h);
// field 9 of a stat file.
constexpr std::uint64_t kIoFlusherFlags = 0x00080000 | 0x00100000;

// Field `number` of a stat file, counted as in proc(5), from 4 on.
inline std::uint64_t stat_field(const std::filesystem::path& path, int number) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  // Field 2, the name in parentheses, may hold anything.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string field;
  for (int i = 3; i <= number; ++i) fields >> field;
  return std::stoull(field);
}

// Whether a process still runs: there is one of that number, and it does not only wait to be waited
// for. Unlike waitpid() this knows of others' children too.
inline bool has_process(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return false;
  const std::size_t state = text.rfind(')') + 2;
  return state < text.size() && text[state] != 'Z' && text[state] != 'X';
}

}  // namespace pleat
