// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/upgrade.h"

#include <cerrno>
#include <csignal>
#include <utility>

#include "tool/errors.h"
#include "tool/interruption.h"
#include "tool/launch.h"
#include "tool/names.h"
#include "tool/ready_line.h"
#include "tool/subprocess.h"

namespace pleat::tool {
namespace {

Result<void> upgrade_device(const std::string& argument, const std::string& program,
                            unsigned ready_timeout_ms, std::ostream& notes) {
  const Result<std::string> name = resolve_name(argument);
  if (!name) return name.error();
  if (!has_files(*name)) return Error{ENOENT, "no device " + *name + "; see pleat list"};
  Result<Interruption> interruption = Interruption::watch();
  if (!interruption) return interruption.error();
  Result<ReadyChannel> channel = ReadyChannel::open(*name, false);
  if (!channel) return channel.error();
  const Result<pid_t> pid =
      spawn({program, "--succeed", *name, "--ready-fd", std::to_string(channel->daemon_end())},
            {.error = channel->log_fd(), .kept = channel->daemon_end()});
  if (!pid) return pid.error();
  channel->close_daemon_end();
  const Result<RunningDaemon> ready = channel->wait(*pid, ready_timeout_ms, *interruption);
  if (!ready) {
    // One that has said what went wrong ends by itself. The last daemon goes on in either case.
    if (!channel->daemon_failed()) kill(*pid, SIGKILL);
    (void)wait_for_exit(*pid, kStopTimeout_ms);
    return with_context(ready.error(), *name);
  }
  notes << "pleat: " << *name << " (" << ready->path << ") is served by process " << ready->pid
        << " of " << program << '\n';
  return {};
}

}  // namespace

Result<void> upgrade_devices(const UpgradeOptions& options, std::ostream& notes) {
  const Result<std::string> program = find_daemon();
  if (!program) return program.error();
  std::vector<Error> errors;
  for (const std::string& name : chosen_names(options.names, options.all, notes)) {
    Result<void> upgraded = upgrade_device(name, *program, options.ready_timeout_ms, notes);
    if (!upgraded) errors.push_back(std::move(upgraded.error()));
  }
  return all_of(std::move(errors));
}

}  // namespace pleat::tool
