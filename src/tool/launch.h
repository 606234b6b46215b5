// SPDX-License-Identifier: MIT OR Apache-2.0
// Starting a daemon and hearing from it: what `pleat create` does before there is a socket.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tool/interruption.h"

namespace pleat::tool {

// A daemon removes its device within 10 s (device/transport.h); after this long it never will.
inline constexpr unsigned kStopTimeout_ms = 15'000;

// Options of pleatd; one that is not set is left to the daemon's default.
struct DaemonOptions {
  std::string name = {};
  std::uint64_t size_bytes = 0;
  std::optional<std::uint64_t> size_max_bytes = std::nullopt;
  std::string algorithm = "auto";
  std::uint64_t mem_limit_bytes = 0;  // 0 = none
  std::optional<unsigned> queues = std::nullopt;
  std::optional<unsigned> depth = std::nullopt;
  std::optional<unsigned> block_bytes = std::nullopt;
  std::string transport = "auto";
  std::optional<int> id = std::nullopt;
  std::optional<std::string> recompress = std::nullopt;        // a codec
  std::optional<std::string> writeback_device = std::nullopt;  // a path
};

// The command line of pleatd, without --ready-fd.
std::vector<std::string> daemon_arguments(const std::string& program, const DaemonOptions& options);

// PLEATD of the environment, or pleatd beside this program (also in the sbin beside its bin), or in
// PATH.
Result<std::string> find_daemon();

struct RunningDaemon {
  pid_t pid = 0;
  std::string path;  // of the device
  std::string transport;
  std::string reason;  // why this transport: "ublk: this kernel has it"
};

struct LaunchOptions {
  std::string program = {};
  DaemonOptions daemon = {};
  bool log_to_terminal = false;  // else to /run/pleat/NAME.log
  unsigned ready_timeout_ms = 30'000;
};

// Starts the daemon in a session of its own and waits until its device is there. Where it fails,
// dies, is silent for too long or the user interrupts (EINTR), nothing of it is left.
Result<RunningDaemon> launch_daemon(const LaunchOptions& options, Interruption& interruption);

// Ends a daemon that launch_daemon() started and whose device nobody is to have: asks it, then
// makes it, and sweeps up.
void undo_launch(const LaunchOptions& options, pid_t daemon);

// Replaces this process by the daemon. Returns only where that fails.
Error become_daemon(const std::string& program, const DaemonOptions& options);

// Has `program` remove what dead daemons left, at most 30 s.
Result<void> sweep_leftovers(const std::string& program);

// /run/pleat/NAME.log
std::string log_path(const std::string& name);

}  // namespace pleat::tool
