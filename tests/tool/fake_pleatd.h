// SPDX-License-Identifier: MIT OR Apache-2.0
// A script in the place of pleatd, which PLEATD names while this lives: it writes down how it is
// called, and then behaves as it is told.
#pragma once

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "base/task_stat.h"
#include "control/runtime_directory.h"

namespace pleat::tool {

class FakePleatd {
 public:
  // What the script does once it has its descriptor, in $fd.
  static constexpr const char* kReady =
      "echo '{\"ok\":true,\"path\":\"/dev/ublkb7\",\"transport\":\"ublk\",\"reason\":\"ublk: "
      "there\"}' >&$fd\n"
      "eval \"exec $fd>&-\"\n"
      "exec sleep 100\n";

  explicit FakePleatd(const control::RuntimeDirectory& directory, const std::string& behaviour)
      : directory_(directory.path()) {
    const std::string path = directory_ + "/pleatd";
    std::ofstream(path) << "#!/bin/sh\n"
                        << "echo \"$@\" >> " << directory_ << "/calls\n"
                        << "[ \"$1\" = --sweep ] && exit 0\n"
                        << "echo $$ >> " << directory_ << "/pids\n"
                        << "while [ $# -gt 1 ]; do\n"
                        << "  [ \"$1\" = --ready-fd ] && fd=$2\n"
                        << "  [ \"$1\" = --name ] && name=$2\n"
                        << "  shift\n"
                        << "done\n"
                        << behaviour;
    chmod(path.c_str(), 0755);
    setenv("PLEATD", path.c_str(), 1);
  }
  ~FakePleatd() {
    unsetenv("PLEATD");
    std::ifstream pids(directory_ + "/pids");
    for (pid_t pid = 0; pids >> pid;) {
      if (is_ours(pid)) kill(pid, SIGKILL);
    }
  }
  FakePleatd(const FakePleatd&) = delete;
  FakePleatd& operator=(const FakePleatd&) = delete;

  // The command lines of all calls, one a line.
  std::string calls() const {
    std::ostringstream text;
    text << std::ifstream(directory_ + "/calls").rdbuf();
    return text.str();
  }
  pid_t last_pid() const {
    std::ifstream pids(directory_ + "/pids");
    pid_t last = 0;
    for (pid_t pid = 0; pids >> pid;) last = pid;
    return last;
  }
  // Whether a script of ours still runs (an unwaited child that has ended does not).
  bool is_alive() const { return is_ours(last_pid()); }

 private:
  // A number that another process has got since is not ours: what the script runs is a sleep or a
  // shell with our path.
  bool is_ours(pid_t pid) const {
    if (pid <= 0) return false;
    // For a moment, while the shell becomes a sleep, it is neither; for good once it has ended.
    for (int tries = 0; tries < 1000; ++tries) {
      const std::string command = command_line(pid);
      if (command.find(directory_) != std::string::npos ||
          command.find(std::string("sleep\0"
                                   "100",
                                   9)) != std::string::npos) {
        return true;
      }
      if (!has_process(pid)) return false;
      usleep(1000);
    }
    return false;
  }

  static std::string command_line(pid_t pid) {
    std::ostringstream text;
    text << std::ifstream("/proc/" + std::to_string(pid) + "/cmdline").rdbuf();
    return text.str();
  }

  std::string directory_;
};

}  // namespace pleat::tool
