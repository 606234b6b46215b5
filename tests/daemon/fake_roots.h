// SPDX-License-Identifier: MIT OR Apache-2.0
// A /proc and a /sys of a test's own.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "daemon/procfs.h"

namespace pleat::daemon {

class FakeRoots {
 public:
  FakeRoots() {
    std::string pattern = testing::TempDir() + "/pleat-roots-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    std::filesystem::create_directories(directory_ / "proc/self");
    std::filesystem::create_directories(directory_ / "sys/block");
  }
  ~FakeRoots() { std::filesystem::remove_all(directory_); }
  FakeRoots(const FakeRoots&) = delete;
  FakeRoots& operator=(const FakeRoots&) = delete;

  KernelRoots roots() const {
    return {(directory_ / "proc").string(), (directory_ / "sys").string()};
  }
  void file(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((directory_ / path).parent_path());
    std::ofstream(directory_ / path) << text;
  }
  void folder(const std::string& path) { std::filesystem::create_directories(directory_ / path); }
  void link(const std::string& path, const std::string& target) {
    std::filesystem::create_directories((directory_ / path).parent_path());
    std::filesystem::create_symlink(target, directory_ / path);
  }

 private:
  std::filesystem::path directory_;
};

// A runtime directory of the test's own, empty, for as long as it lives.
class TemporaryRuntimeDirectory {
 public:
  TemporaryRuntimeDirectory() {
    std::string pattern = testing::TempDir() + "/pleatd-XXXXXX";
    path_ = std::filesystem::canonical(mkdtemp(pattern.data())).string();
    setenv("PLEAT_RUNTIME_DIR", path_.c_str(), 1);
  }
  ~TemporaryRuntimeDirectory() {
    unsetenv("PLEAT_RUNTIME_DIR");
    std::filesystem::remove_all(path_);
  }
  TemporaryRuntimeDirectory(const TemporaryRuntimeDirectory&) = delete;
  TemporaryRuntimeDirectory& operator=(const TemporaryRuntimeDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace pleat::daemon
