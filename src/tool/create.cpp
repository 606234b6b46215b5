// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/create.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/socket.h"
#include "tool/device.h"
#include "tool/foreground.h"
#include "tool/names.h"

namespace pleat::tool {
namespace {

// Refuses a name that a living daemon has, before its log is touched.
Result<void> check_name(const std::string& name) {
  if (!control::valid_name(name)) {
    return Error{EINVAL, "'" + name +
                             "' is no device name; use 1 to 32 letters, digits, '_', '.' and '-', "
                             "not starting with '.' or '-'"};
  }
  const auto answer = control::call(name, {{"op", "stat"}}, kQueryTimeout_ms);
  const bool taken =
      answer || (answer.error().code != ENOENT && answer.error().code != ECONNREFUSED);
  if (!taken) return {};
  return Error{EADDRINUSE, "a device named " + name + " is there already; see pleat list"};
}

// Launches under the given name, or under the first free one; where others take that in the same
// moment, under the next.
Result<RunningDaemon> launch(LaunchOptions& options, Interruption& interruption) {
  if (!options.daemon.name.empty()) {
    if (Result<void> free = check_name(options.daemon.name); !free) return free.error();
    return launch_daemon(options, interruption);
  }
  constexpr unsigned kAttemptsMax = 10;
  for (unsigned attempt = 1;; ++attempt) {
    options.daemon.name = first_free_name();
    Result<RunningDaemon> daemon = launch_daemon(options, interruption);
    if (daemon || daemon.error().code != EADDRINUSE || attempt == kAttemptsMax) return daemon;
  }
}

void write_notes(const LaunchOptions& options, const RunningDaemon& daemon, bool swap,
                 const System& system, std::ostream& notes) {
  notes << "pleat: " << options.daemon.name << " is " << daemon.path << (swap ? ", and swap" : "")
        << " (" << daemon.reason << ")\n";
  const std::string advice = swap ? swap_advice(system) : "";
  if (!advice.empty()) notes << "pleat: " << advice << '\n';
}

Result<void> create_in_place(CreateOptions options, const std::string& program) {
  if (options.daemon.name.empty()) options.daemon.name = first_free_name();
  if (Result<void> free = check_name(options.daemon.name); !free) return free;
  return become_daemon(program, options.daemon);
}

}  // namespace

Result<void> create_device(CreateOptions options, const System& system, std::ostream& out,
                           std::ostream& notes) {
  const Result<std::string> program = find_daemon();
  if (!program) return program.error();
  if (options.foreground && !options.swap) return create_in_place(std::move(options), *program);

  Result<Interruption> interruption = Interruption::watch();
  if (!interruption) return interruption.error();
  LaunchOptions launching{*program, options.daemon, options.foreground, options.ready_timeout_ms};
  const Result<RunningDaemon> daemon = launch(launching, *interruption);
  if (!daemon) return daemon.error();

  if (options.swap) {
    Result<void> started = start_swap(daemon->path, *options.swap, system);
    if (started && interruption->interrupted() && !options.foreground) {
      started = system.swap_off(daemon->path);
      if (started) started = Error{EINTR, "interrupted; the device is removed again"};
    }
    if (!started) {
      undo_launch(launching, daemon->pid);
      return with_context(started.error(), "device " + launching.daemon.name + " is removed again");
    }
  }
  write_notes(launching, *daemon, options.swap.has_value(), system, notes);
  out << daemon->path << std::endl;
  if (!options.foreground) return {};
  return serve_in_foreground(launching, *daemon, system, *interruption, notes);
}

}  // namespace pleat::tool
