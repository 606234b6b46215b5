// SPDX-License-Identifier: MIT OR Apache-2.0
// A /proc of a test's own, and swap calls that are written down instead of made.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tool/system.h"

namespace pleat::tool {

class FakeSystem {
 public:
  FakeSystem() {
    std::string path = "/tmp/pleat-root-XXXXXX";
    root_ = mkdtemp(path.data());
    system_.root = root_;
    system_.kernel_release = "6.1.0-test";
    system_.swap_on = [this](const std::string& device, int flags) -> Result<void> {
      calls.push_back("swapon " + device + " " + std::to_string(flags));
      if (swap_on_fails) return Error{EINVAL, "cannot swap to " + device};
      if (during_swap_on) during_swap_on();
      set_swap(device);
      return {};
    };
    system_.swap_off = [this](const std::string& device) -> Result<void> {
      calls.push_back("swapoff " + device);
      if (swap_off_failures > 0) {
        --swap_off_failures;
        return Error{ENOMEM, "cannot take " + device + " out of swap"};
      }
      set_swap("");
      return {};
    };
    set_swap("");
  }
  ~FakeSystem() { std::filesystem::remove_all(root_); }
  FakeSystem(const FakeSystem&) = delete;
  FakeSystem& operator=(const FakeSystem&) = delete;

  System& system() { return system_; }
  std::string path(const std::string& file) const { return root_ + file; }

  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + file).parent_path());
    std::ofstream(root_ + file) << text;
  }

  std::string read(const std::string& file) const {
    std::ifstream stream(root_ + file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  // /proc/swaps with the one device, or none.
  void set_swap(const std::string& device) const {
    std::string text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
    if (!device.empty()) text += device + "                             partition\t1\t0\t100\n";
    write("/proc/swaps", text);
  }

  std::vector<std::string> calls;
  bool swap_on_fails = false;
  int swap_off_failures = 0;
  std::function<void()> during_swap_on;

 private:
  std::string root_;
  System system_;
};

}  // namespace pleat::tool
