// SPDX-License-Identifier: MIT OR Apache-2.0
// The pipe over which a starting daemon says one line, and the log that explains its silence.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "tool/interruption.h"
#include "tool/launch.h"

namespace pleat::tool {

class ReadyChannel {
 public:
  // Makes the pipe, and the log /run/pleat/NAME.log unless the daemon is to log to this process's
  // standard error.
  static Result<ReadyChannel> open(const std::string& name, bool log_to_terminal);

  int daemon_end() const noexcept { return writer_.get(); }
  int log_fd() const noexcept;
  // To be called once the daemon has its copy: else its death would not show.
  void close_daemon_end() { writer_.reset(); }

  // Waits for the line: the device, or the daemon's own error. A daemon that ends without one is an
  // error with the last line of its log (ECHILD); one that is silent for too long ETIMEDOUT; a user
  // who interrupts EINTR.
  Result<RunningDaemon> wait(pid_t daemon, unsigned timeout_ms, Interruption& interruption);

  // Whether wait() got the daemon's own word that it failed.
  bool daemon_failed() const noexcept { return daemon_failed_; }

  // Removes the log, unless it is older than this channel or the daemon ended without a line.
  void remove_log();

 private:
  ReadyChannel(std::string name, UniqueFd reader, UniqueFd writer);

  Result<std::string> read_line(unsigned timeout_ms, Interruption& interruption);
  Error death_of(pid_t daemon);
  std::string log_since_start() const;

  std::string name_;
  UniqueFd reader_;
  UniqueFd writer_;
  UniqueFd log_;
  off_t log_start_ = 0;
  bool log_is_wanted_ = false;
  bool daemon_failed_ = false;
};

}  // namespace pleat::tool
