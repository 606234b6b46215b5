// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/sweep.h"

#include <unistd.h>

#include <cerrno>

#include "control/socket.h"
#include "daemon/bounded.h"
#include "daemon/state_file.h"

namespace pleat::daemon {

namespace {

// remove_leftovers() bounds its own waits; this is for a kernel that does not return at all.
constexpr unsigned kRemoveTimeoutMs = 15'000;
// ublk_drv gives the lowest free number, and its parameter ublks_max is 64 by default. Newer
// kernels limit unprivileged devices only (80bdfbb3545b), so that a number may be higher there.
constexpr int kUblkDevicesMax = 64;

constexpr unsigned kDyingPatienceMs = 2000;

bool is_living(const std::string& name) {
  const auto state = load_state(name);
  return state && (is_alive(state->worker) || is_alive(state->guardian));
}

// Whether the state file names processes and neither lives. One that is just starting is not dead.
bool is_dead(const std::string& name) { return load_state(name) && !is_living(name); }

// A worker that died between making a ublk device and writing down its number leaves one that only
// the driver knows. remove_leftovers() removes nothing but dead daemons' devices, so each number is
// tried, and what it refuses is not ours to remove.
Result<void> remove_device(const State& state) {
  device::TransportInfo info = leftovers_of(state);
  if (info.kind != device::TransportKind::kUblk || info.id >= 0) {
    return device::remove_leftovers(info, state.name);
  }
  for (info.id = 0; info.id < kUblkDevicesMax; ++info.id) {
    static_cast<void>(device::remove_leftovers(info, state.name));
  }
  return {};
}

}  // namespace

Result<void> clean_up(const std::string& name, NameLock& lock) {
  auto state = load_state(name);
  if (state && !state->transport.empty()) {
    const std::string what = "removing the device of " + name;
    auto removed = run_bounded(what, kRemoveTimeoutMs, [&] {
      // A child that the kernel holds on to must not keep the name taken.
      lock.forget();
      return remove_device(*state);
    });
    if (!removed) {
      unlink(control::socket_path(name).c_str());
      return removed;
    }
  }
  unlink(control::socket_path(name).c_str());
  remove_state(name);
  return {};
}

SweepResult sweep() {
  SweepResult result;
  for (const std::string& name : names_in_runtime_directory()) {
    auto lock = NameLock::take(name, 0);
    // A killed process shows as dead before the last of its threads has let go of the lock.
    if (!lock && is_dead(name)) lock = NameLock::take(name, kDyingPatienceMs);
    if (!lock) {
      if (lock.error().code != EADDRINUSE) result.failures.push_back(lock.error());
      continue;
    }
    // The lock says that nobody lives; the process numbers are the second witness.
    if (is_living(name)) continue;
    if (auto cleaned = clean_up(name, *lock); !cleaned) {
      result.failures.push_back(with_context(cleaned.error(), name));
    } else {
      result.removed.push_back(name);
    }
    lock->remove();
  }
  return result;
}

}  // namespace pleat::daemon
