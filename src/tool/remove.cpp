// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/remove.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "control/socket.h"
#include "tool/device.h"
#include "tool/errors.h"
#include "tool/launch.h"
#include "tool/mounts.h"
#include "tool/names.h"

namespace pleat::tool {
namespace {

// udev removes a node within milliseconds of the kernel's event.
constexpr unsigned kNodeTimeout_ms = 5000;

// The node at a path at one moment: another one of the same path may follow at once.
struct Node {
  std::string path;
  ino_t inode = 0;

  bool is_there() const {
    struct stat now {};
    return stat(path.c_str(), &now) == 0 && now.st_ino == inode;
  }
};

Node node_of(const control::DeviceStatus& device, const System& system) {
  struct stat now {};
  const std::string path = system.root + device.path;
  return {path, stat(path.c_str(), &now) == 0 ? now.st_ino : 0};
}

// Waits until the node is gone. A loop device's node stays with the kernel, which reuses it; only a
// ublk device's goes.
Result<void> wait_until_gone(const control::DeviceStatus& device, const Node& node) {
  if (device.transport != "ublk") return {};
  const std::uint64_t deadline_ns = monotonic_ns() + std::uint64_t{kNodeTimeout_ms} * 1'000'000;
  while (node.is_there()) {
    if (monotonic_ns() >= deadline_ns) {
      return Error{ETIMEDOUT, "the daemon of " + device.name +
                                  " says that its device is gone, but " + device.path +
                                  " is still there"};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return {};
}

// Removes what the dead daemon of `name` left: the kernel's device through pleatd, which knows how,
// and then the files that nobody needs any more.
Result<void> remove_leftovers(const std::string& name, std::ostream& notes) {
  notes << "pleat: the daemon of " << name << " is dead; removing what it left\n";
  const Result<std::string> program = find_daemon();
  if (!program) return with_context(program.error(), "cannot clean up after " + name);
  if (Result<void> swept = sweep_leftovers(*program); !swept) {
    return with_context(swept.error(), "cannot clean up after " + name);
  }
  // A daemon of the same name may have started since; its socket answers.
  if (control::call(name, {{"op", "stat"}}, kQueryTimeout_ms)) return {};
  unlink(control::socket_path(name).c_str());
  unlink(log_path(name).c_str());
  return {};
}

Result<void> end_swap(const control::DeviceStatus& device, const System& system,
                      std::ostream& notes) {
  if (!is_swap(device.path, system)) return {};
  notes << "pleat: taking " << device.path << " out of swap\n" << std::flush;
  return system.swap_off(device.path);
}

Result<void> remove_device(const std::string& argument, const RemoveOptions& options,
                           const System& system, std::ostream& notes) {
  const Result<std::string> name = resolve_name(argument);
  if (!name) return name.error();
  const Result<control::DeviceStatus> device = query_status(*name);
  if (!device) {
    const int code = device.error().code;
    const bool dead = code == ECONNREFUSED || (code == ENOENT && has_files(*name));
    return dead ? remove_leftovers(*name, notes) : Result<void>(device.error());
  }
  if (options.swap_off) {
    if (Result<void> ended = end_swap(*device, system, notes); !ended) return ended;
  }
  const Node node = node_of(*device, system);
  const Result<nlohmann::json> stopped =
      control::call(*name, {{"op", "stop"}}, options.stop_timeout_ms);
  if (!stopped) return stopped.error();
  if (Result<void> gone = wait_until_gone(*device, node); !gone) return gone;
  unlink(log_path(*name).c_str());
  return {};
}

}  // namespace

Result<void> remove_devices(const RemoveOptions& options, const System& system,
                            std::ostream& notes) {
  std::vector<Error> errors;
  for (const std::string& name : chosen_names(options.names, options.all, notes)) {
    Result<void> removed = remove_device(name, options, system, notes);
    if (!removed) errors.push_back(std::move(removed.error()));
  }
  return all_of(std::move(errors));
}

}  // namespace pleat::tool
