// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads of this process, found by their names.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace pleat::device {

// The folders in /proc of this process's threads whose name `is_meant` is true for.
template <typename IsMeant>
std::vector<std::filesystem::path> own_threads(IsMeant is_meant) {
  std::vector<std::filesystem::path> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    std::getline(file, name);
    if (is_meant(name)) found.push_back(task.path());
  }
  return found;
}

// Whether `threads` comes to find none, soon: a thread that was joined takes a moment to leave the
// process.
template <typename Threads>
bool threads_end(Threads threads) {
  for (int wait = 0; wait < 500; ++wait) {
    if (threads().empty()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace pleat::device
