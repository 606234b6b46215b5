// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/foreground.h"

#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>

#include "control/socket.h"
#include "tool/mounts.h"
#include "tool/subprocess.h"

namespace pleat::tool {
namespace {

// The signal that tells of the child's end can be lost in another's wait; a look now and then is
// the second way to hear of it.
constexpr int kLook_ms = 1000;

Result<void> end_swap_and_daemon(const LaunchOptions& options, const RunningDaemon& daemon,
                                 const System& system) {
  if (is_swap(daemon.path, system)) {
    if (Result<void> ended = system.swap_off(daemon.path); !ended) return ended;
  }
  const auto answer = control::call(options.daemon.name, {{"op", "stop"}}, kStopTimeout_ms);
  if (!answer) return answer.error();
  if (!wait_for_exit(daemon.pid, kStopTimeout_ms)) {
    return Error{ETIMEDOUT, "pleatd has removed its device but does not end"};
  }
  return {};
}

}  // namespace

Result<void> serve_in_foreground(const LaunchOptions& options, const RunningDaemon& daemon,
                                 const System& system, Interruption& interruption,
                                 std::ostream& notes) {
  while (true) {
    if (interruption.interrupted()) {
      notes << "pleat: taking " << daemon.path << " out of swap" << std::endl;
      const Result<void> ended = end_swap_and_daemon(options, daemon, system);
      if (ended) return {};
      notes << "pleat: " << ended.error().message << "; the device goes on" << std::endl;
      interruption.reset();
    }
    const std::optional<int> status = wait_for_exit(daemon.pid, 0);
    if (status) {
      if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return {};
      return Error{ECHILD, "pleatd ended by itself (" + describe_exit(*status) + ")"};
    }
    pollfd entry{interruption.fd(), POLLIN, 0};
    poll(&entry, 1, kLook_ms);
  }
}

}  // namespace pleat::tool
