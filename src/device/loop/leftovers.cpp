// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/loop/leftovers.h"

#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "device/loop/loop_device.h"
#include "device/loop/tag.h"

namespace pleat::device {
namespace {

constexpr unsigned kTimeoutMs = 3000;

// The numbers of the loop devices whose file is called `tag`, of a file system mounted nowhere.
std::vector<int> find_loops(const std::string& tag) {
  std::vector<int> ids;
  std::error_code ignored;
  for (std::filesystem::directory_iterator block("/sys/block", ignored), end;
       !ignored && block != end; block.increment(ignored)) {
    const std::string name = block->path().filename();
    if (!name.starts_with("loop")) continue;
    std::ifstream file(block->path() / "loop" / "backing_file");
    std::string backing;
    if (std::getline(file, backing) && backing == "/" + tag)
      ids.push_back(std::stoi(name.substr(4)));
  }
  return ids;
}

}  // namespace

Result<void> remove_loop_leftovers(const TransportInfo& info, const std::string& name) {
  const std::string tag = loop_tag(name);
  const std::vector<int> ids = info.id >= 0 ? std::vector<int>{info.id} : find_loops(tag);
  Result<void> result;
  for (const int id : ids) {
    if (auto detached = detach_loop(id, tag, kTimeoutMs); !detached) result = std::move(detached);
  }
  return result;
}

}  // namespace pleat::device
