// SPDX-License-Identifier: MIT OR Apache-2.0
// A pleatd under test: started, watched and, whatever happens, ended and cleaned up after.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/fake_roots.h"

namespace pleat::daemon {

class DaemonProcess {
 public:
  // Runs pleatd with `arguments` and a ready descriptor; `prepare` is called in the child.
  explicit DaemonProcess(const std::vector<std::string>& arguments,
                         const std::function<void()>& prepare = {});
  ~DaemonProcess();
  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;

  // The ready line, at most 60 s later; an empty object where none comes.
  const nlohmann::json& ready();
  pid_t guardian() const { return guardian_; }
  pid_t worker() { return ready().value("worker", -1); }
  // Kills all of the daemon's processes at once, and waits until they are gone.
  void kill_all();
  std::string path() { return ready().value("path", ""); }
  // The exit status of the main process, -signal where one killed it, -1000 where it does not end
  // within 60 s.
  int wait();
  // What is on standard error so far.
  std::string said() const;

 private:
  pid_t guardian_ = -1;
  bool is_reaped_ = false;
  int status_ = -1000;
  UniqueFd ready_fd_;
  UniqueFd error_fd_;
  nlohmann::json ready_ = nlohmann::json::object();
  bool has_ready_ = false;
};

// In a pleatd to be: nobody can succeed a worker, as on kernels that do not send lost requests
// again. What the guardian would hold cannot be made.
void deny_clones();

// A runtime directory, a name nobody else uses, and the check that nothing is left at the end.
class DaemonTest : public testing::Test {
 protected:
  void TearDown() override { expect_nothing_left(); }

  std::vector<std::string> arguments(const std::vector<std::string>& more = {}) const;
  nlohmann::json call(const nlohmann::json& request) const;
  // The error of a request that must fail.
  std::string refusal(const nlohmann::json& request) const;
  void sweep() const;
  // No file, no loop device of ours, within 10 s.
  void expect_nothing_left() const;

  TemporaryRuntimeDirectory runtime_;
  const std::string name_ = "t" + std::to_string(getpid());
};

// Whether `condition` comes true within `seconds`.
bool eventually(const std::function<bool()>& condition, int seconds = 20);
bool is_running(pid_t pid);
std::string slurp(const std::string& path);
// The exit status of a shell command.
int shell(const std::string& command);

}  // namespace pleat::daemon
