// SPDX-License-Identifier: MIT OR Apache-2.0
// A `pleat gpu tier` under test, on the CPU that stands in for a GPU: started, and whatever happens
// ended and unmounted.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "tool/subprocess.h"

namespace pleat::tool {

// An empty directory, for as long as it lives.
class MountPoint {
 public:
  MountPoint() {
    std::string pattern = testing::TempDir() + "/pleat-tier-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~MountPoint() {
    umount2(path_.c_str(), MNT_DETACH);
    rmdir(path_.c_str());
  }
  MountPoint(const MountPoint&) = delete;
  MountPoint& operator=(const MountPoint&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class TierProcess {
 public:
  static constexpr unsigned kTimeoutMs = 60'000;

  TierProcess(const std::string& directory, const std::string& size)
      : path_(directory + "/vram"), log_path_(directory + ".log") {
    log_.reset(open(log_path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const auto started = spawn({PLEAT_PROGRAM, "gpu", "tier", directory, "--size", size},
                               {.output = log_.get(), .error = log_.get()});
    EXPECT_TRUE(started);
    if (started) pid_ = *started;
    EXPECT_TRUE(says(path_ + ": ")) << said();
  }
  ~TierProcess() {
    kill_now();
    unlink(log_path_.c_str());
  }
  TierProcess(const TierProcess&) = delete;
  TierProcess& operator=(const TierProcess&) = delete;

  const std::string& path() const { return path_; }
  pid_t pid() const { return pid_; }
  // What it has printed so far, on both outputs.
  std::string said() const {
    std::ostringstream text;
    text << std::ifstream(log_path_).rdbuf();
    return text.str();
  }
  // Whether it has said `text` within some time, or ended before.
  bool says(const std::string& text) const {
    for (unsigned waited_ms = 0; waited_ms < kTimeoutMs; waited_ms += 10) {
      if (said().find(text) != std::string::npos) return true;
      if (!is_running(pid_)) return said().find(text) != std::string::npos;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  void signal(int number) const { ASSERT_EQ(kill(pid_, number), 0); }
  // The exit status; -1 where it was killed or does not end.
  int wait() {
    const std::optional<int> status = wait_for_exit(pid_, kTimeoutMs);
    if (!status) return -1;
    pid_ = -1;
    return WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
  }
  void kill_now() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    wait();
  }

 private:
  std::string path_;
  std::string log_path_;
  UniqueFd log_;
  pid_t pid_ = -1;
};

}  // namespace pleat::tool
