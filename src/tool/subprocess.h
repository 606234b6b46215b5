// SPDX-License-Identifier: MIT OR Apache-2.0
// Programs that the tool starts: pleatd and mkswap.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pleat::tool {

// How a child sees the descriptors; -1 means /dev/null. Every other descriptor is closed in it but
// `kept`, which keeps its number.
struct ChildFiles {
  int output = -1;
  int error = -1;
  int kept = -1;
};

// Starts argv[0] (a path) in a session of its own, with no signal blocked. The exit status of a
// child whose program could not be started is 127.
Result<pid_t> spawn(const std::vector<std::string>& argv, const ChildFiles& files);

// Whether the child has not ended. False also for one whose end has been waited for, so that its
// number is never taken for that of another process.
bool is_running(pid_t child);

// Waits for the child's end, at most timeout_ms; its wait() status, or nothing.
std::optional<int> wait_for_exit(pid_t child, unsigned timeout_ms);

// "exit status 3" or "signal 9 (Killed)".
std::string describe_exit(int wait_status);

// Runs a program to its end; what it printed. An Error holds the last line of that where the
// program fails, and says so where it takes longer than timeout_ms (it is killed then).
Result<std::string> run_program(const std::vector<std::string>& argv, unsigned timeout_ms);

// The path of `program`: in PATH, or in the directories of system programs, which root's PATH may
// lack after a plain su. ENOENT.
Result<std::string> find_program(const std::string& program);

// The last line of `text` that is not empty, or nothing.
std::string last_line(const std::string& text);

}  // namespace pleat::tool
