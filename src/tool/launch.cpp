// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/launch.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "control/socket.h"
#include "tool/names.h"
#include "tool/ready_line.h"
#include "tool/subprocess.h"

namespace pleat::tool {
namespace {

constexpr unsigned kSweepTimeout_ms = 30'000;

// The directory of this program's file, or nothing.
std::string own_directory() {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return {};
  const std::string file(path.data(), static_cast<std::size_t>(length));
  return file.substr(0, file.find_last_of('/'));
}

void kill_session(pid_t daemon) {
  kill(-daemon, SIGKILL);
  wait_for_exit(daemon, kStopTimeout_ms);
}

}  // namespace

std::vector<std::string> daemon_arguments(const std::string& program,
                                          const DaemonOptions& options) {
  std::vector<std::string> argv = {program,
                                   "--name",
                                   options.name,
                                   "--size",
                                   std::to_string(options.size_bytes),
                                   "--algorithm",
                                   options.algorithm,
                                   "--mem-limit",
                                   std::to_string(options.mem_limit_bytes),
                                   "--transport",
                                   options.transport};
  const auto add = [&argv](const char* option, auto value) {
    if (value) argv.insert(argv.end(), {option, std::to_string(*value)});
  };
  add("--size-max", options.size_max_bytes);
  add("--queues", options.queues);
  add("--depth", options.depth);
  add("--block-size", options.block_bytes);
  add("--id", options.id);
  if (options.recompress) argv.insert(argv.end(), {"--recompress", *options.recompress});
  if (options.writeback_device) {
    argv.insert(argv.end(), {"--writeback-device", *options.writeback_device});
  }
  return argv;
}

Result<std::string> find_daemon() {
  const char* set = std::getenv("PLEATD");
  if (set != nullptr && *set != '\0') {
    if (access(set, X_OK) == 0) return std::string(set);
    return errno_error(std::string("cannot run ") + set + ", which PLEATD names");
  }
  const std::string directory = own_directory();
  for (const std::string& place : {directory + "/pleatd", directory + "/../sbin/pleatd"}) {
    if (access(place.c_str(), X_OK) == 0) return place;
  }
  const Result<std::string> in_path = find_program("pleatd");
  if (in_path) return in_path;
  return Error{ENOENT, "pleatd is neither beside this program nor in PATH; set PLEATD to its path"};
}

std::string log_path(const std::string& name) {
  return control::runtime_directory() + "/" + name + ".log";
}

Result<RunningDaemon> launch_daemon(const LaunchOptions& options, Interruption& interruption) {
  Result<ReadyChannel> channel = ReadyChannel::open(options.daemon.name, options.log_to_terminal);
  if (!channel) return channel.error();
  std::vector<std::string> argv = daemon_arguments(options.program, options.daemon);
  argv.insert(argv.end(), {"--ready-fd", std::to_string(channel->daemon_end())});
  const Result<pid_t> pid =
      spawn(argv, {.error = channel->log_fd(), .kept = channel->daemon_end()});
  if (!pid) return pid.error();
  channel->close_daemon_end();

  Result<RunningDaemon> ready = channel->wait(*pid, options.ready_timeout_ms, interruption);
  if (!ready) {
    // One that has said what went wrong is about to end, and cleans up better than we can.
    if (channel->daemon_failed()) (void)wait_for_exit(*pid, kStopTimeout_ms);
    undo_launch(options, *pid);
    channel->remove_log();
    if (ready.error().code == EINTR) {
      return Error{EINTR, ready.error().message + "; the device is removed again"};
    }
  }
  return ready;
}

void undo_launch(const LaunchOptions& options, pid_t daemon) {
  if (is_running(daemon)) {
    // The socket's way says why where it is refused; the signal is for a daemon that has none yet.
    const auto answer = control::call(options.daemon.name, {{"op", "stop"}}, kStopTimeout_ms);
    if (!answer) kill(daemon, SIGTERM);
    if (!wait_for_exit(daemon, kStopTimeout_ms)) kill_session(daemon);
  }
  if (has_files(options.daemon.name)) (void)sweep_leftovers(options.program).has_value();
}

Error become_daemon(const std::string& program, const DaemonOptions& options) {
  const std::vector<std::string> argv = daemon_arguments(program, options);
  std::vector<char*> pointers;
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  execv(program.c_str(), pointers.data());
  return errno_error("cannot run " + program);
}

Result<void> sweep_leftovers(const std::string& program) {
  const Result<std::string> swept = run_program({program, "--sweep"}, kSweepTimeout_ms);
  if (!swept) return swept.error();
  return {};
}

}  // namespace pleat::tool
