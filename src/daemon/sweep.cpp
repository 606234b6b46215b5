// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/sweep.h"

#include <unistd.h>

#include <cerrno>
#include <vector>

#include "control/socket.h"
#include "daemon/board.h"
#include "daemon/bounded.h"
#include "daemon/state_file.h"
#include "daemon/users.h"

namespace pleat::daemon {

namespace {

// remove_leftovers() bounds its own waits; this is for a kernel that does not return at all.
constexpr unsigned kRemoveTimeoutMs = 15'000;
// ublk_drv gives the lowest free number, and its parameter ublks_max is 64 by default. Newer
// kernels limit unprivileged devices only (80bdfbb3545b), so that a number may be higher there.
constexpr int kUblkDevicesMax = 64;

constexpr unsigned kDyingPatienceMs = 2000;

// The board of a device, or nothing where there is none that this program can read.
class FoundBoard {
 public:
  explicit FoundBoard(const std::string& name) {
    if (auto found = find_board(name)) board_ = *found;
  }
  ~FoundBoard() {
    if (board_ != nullptr) release_board(board_);
  }
  FoundBoard(const FoundBoard&) = delete;
  FoundBoard& operator=(const FoundBoard&) = delete;

  explicit operator bool() const noexcept { return board_ != nullptr; }
  const Board* operator->() const noexcept { return board_; }
  const Board& operator*() const noexcept { return *board_; }

 private:
  Board* board_ = nullptr;
};

// What is known of a dead daemon's device. From the board where there is one: the state file may be
// out on that very device.
Result<State> state_of(const std::string& name) {
  const FoundBoard board(name);
  if (!board || board->device_id < 0) return load_state(name);
  State state;
  state.name = name;
  state.guardian = board->guardian.load();
  state.worker = board->worker.load();
  state.transport = device::to_string(board->transport);
  state.id = board->device_id;
  state.path = board->path;
  return state;
}

bool is_living(const std::string& name) {
  const FoundBoard board(name);
  if (board && is_living(*board)) return true;
  const auto state = state_of(name);
  return state && (is_alive(state->worker) || is_alive(state->guardian));
}

// Whether something names processes and neither lives. One that is just starting is not dead.
bool is_dead(const std::string& name) { return state_of(name) && !is_living(name); }

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

// Why the pages of a dead daemon are not to be given up: a program has some.
Result<void> check_unused(const std::string& name) {
  const FoundBoard board(name);
  if (!board || !board->outlives_processes()) return {};
  const auto device = block_device(board->path);
  if (!device) return {};
  std::string text;
  for (const Use& use : find_uses(*device, name, {})) {
    text += (text.empty() ? " is " : " and ") + use.text;
  }
  if (text.empty()) return {};
  return Error{EBUSY, std::string(board->path) + text +
                          ", and its pages are all there; run: pleat upgrade " + name +
                          " (or, to lose them: pleatd --sweep --lose-pages)"};
}

}  // namespace

bool has_pages(const std::string& name) {
  const FoundBoard board(name);
  return board && board->outlives_processes() && !board->has_ended;
}

Result<void> clean_up(const std::string& name, NameLock& lock) {
  auto state = state_of(name);
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
  remove_board(name);
  return {};
}

SweepResult sweep(SweepOf what) {
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
    if (what == SweepOf::kLost && has_pages(name)) continue;
    if (what == SweepOf::kUnused) {
      if (auto unused = check_unused(name); !unused) {
        result.failures.push_back(with_context(unused.error(), name));
        continue;
      }
    }
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
