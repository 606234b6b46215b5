// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/mounts.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>
#include <sstream>

namespace pleat::tool {
namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes a space as \040, and tab, newline and backslash likewise (fs/seq_file.c:
// mangle_path).
std::string unescape(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// "259:3", or empty where the node is not there.
std::string device_number(const std::string& path) {
  struct stat node {};
  if (stat(path.c_str(), &node) != 0 || !S_ISBLK(node.st_mode)) return {};
  return std::to_string(major(node.st_rdev)) + ":" + std::to_string(minor(node.st_rdev));
}

}  // namespace

bool is_swap(const std::string& device_path, const System& system) {
  std::ifstream swaps(system.root + "/proc/swaps");
  std::string line;
  while (std::getline(swaps, line)) {
    if (unescape(line.substr(0, line.find_first_of(" \t"))) == device_path) return true;
  }
  return false;
}

std::vector<std::string> mount_points(const std::string& device_path, const System& system) {
  std::vector<std::string> points;
  if (is_swap(device_path, system)) points.push_back("[SWAP]");
  const std::string number = device_number(system.root + device_path);
  std::ifstream mounts(system.root + "/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    // ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS (proc(5)).
    std::istringstream fields(line);
    std::string id, parent, mounted_number, root, point, type, source, word;
    fields >> id >> parent >> mounted_number >> root >> point;
    while (fields >> word && word != "-") {
    }
    if (!(fields >> type >> source)) continue;
    const bool same_number = !number.empty() && mounted_number == number;
    if (same_number || unescape(source) == device_path) points.push_back(unescape(point));
  }
  return points;
}

}  // namespace pleat::tool
