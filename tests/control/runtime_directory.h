// SPDX-License-Identifier: MIT OR Apache-2.0
// A runtime directory of a test's own, in PLEAT_RUNTIME_DIR while it lives.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace pleat::control {

class RuntimeDirectory {
 public:
  RuntimeDirectory() {
    // Short, since a socket's path has 107 characters at most.
    std::string path = "/tmp/pleat-test-XXXXXX";
    path_ = mkdtemp(path.data());
    setenv("PLEAT_RUNTIME_DIR", path_.c_str(), 1);
  }
  ~RuntimeDirectory() {
    unsetenv("PLEAT_RUNTIME_DIR");
    std::filesystem::remove_all(path_);
  }
  RuntimeDirectory(const RuntimeDirectory&) = delete;
  RuntimeDirectory& operator=(const RuntimeDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace pleat::control
