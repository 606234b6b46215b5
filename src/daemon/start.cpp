// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/start.h"

#include <time.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/notify.h"
#include "base/process.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "control/paths.h"
#include "daemon/board.h"
#include "daemon/guardian.h"
#include "daemon/log.h"
#include "daemon/name_lock.h"
#include "daemon/options_check.h"
#include "daemon/ready.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "daemon/state_file.h"
#include "daemon/transport_choice.h"
#include "device/transport.h"
#include "store/store.h"

namespace pleat::daemon {

namespace {

// A sweep of another daemon holds a name for the time it looks at it.
constexpr unsigned kLockPatienceMs = 500;
// For how long a device may be without a guardian, and how often that is looked at.
constexpr std::uint64_t kNextGuardianNs = 2'000'000'000;
constexpr long kRetryNs = 20'000'000;

void say_swept(const SweepResult& swept) {
  for (const std::string& name : swept.removed) {
    log_line(LogLevel::kNotice, "removed what a dead daemon left of " + name);
  }
  for (const Error& error : swept.failures) {
    log_line(LogLevel::kWarning, "cannot remove what a dead daemon left: " + error.message);
  }
}

// What a process that is to guard a device asks of the kernel for itself.
Result<void> guard_process() {
  if (auto safe = protect_from_oom_killer(); !safe) {
    log_line(LogLevel::kWarning, "the OOM killer may end this daemon: " + safe.error().message);
  }
  return lock_memory();
}

void tell_of_failure(const ServiceManager& manager, int ready_fd, const Error& error) {
  log_line(LogLevel::kError, error.message);
  notify(manager, "STATUS=" + error.message);
  write_failed_line(ready_fd, error);
}

Result<UniqueFd> begin_process() {
  auto signals = open_stop_signals();
  if (!signals) return signals.error();
  if (auto allowed = check_root(); !allowed) return allowed.error();
  if (auto made = control::make_runtime_directory(); !made) return made.error();
  return signals;
}

Result<TransportChoice> choose_for(const Options& options) {
  auto choice = choose_transport(options.transport);
  if (choice && choice->kind == device::TransportKind::kLoop && options.id >= 0) {
    return Error{EINVAL, "the number of a loop device cannot be chosen; leave out --id (" +
                             choice->reason + ")"};
  }
  return choice;
}

// What a new loop device's workers hand on, or nothing where one cannot succeed another.
device::LoopConnection connection_for(const Options& options) {
  auto connection = device::open_loop_connection(options.queues);
  if (connection) return *std::move(connection);
  log_line(LogLevel::kWarning, "the pages of " + options.name +
                                   " are lost if its worker dies: " + connection.error().message);
  return {};
}

// Takes a name for a new device.
Result<NameLock> take_name(const std::string& name) {
  say_swept(sweep(SweepOf::kLost));
  auto lock = NameLock::take(name, kLockPatienceMs);
  if (!lock) return lock.error();
  if (has_pages(name)) {
    lock->remove();
    return Error{EEXIST,
                 "the daemon of " + name +
                     " is dead, and its pages are all there; to serve them again run: pleat "
                     "upgrade " +
                     name + " (or, to lose them: pleat remove " + name + ")"};
  }
  // Left over if the last daemon of this name was still dying when the sweep asked for its lock.
  const bool is_left_over = load_state(name).has_value();
  if (auto cleaned = clean_up(name, *lock); !cleaned) {
    lock->remove();
    return with_context(cleaned.error(),
                        "the last device named " + name + " cannot be removed yet");
  }
  if (is_left_over) say_swept({.removed = {name}, .failures = {}});
  return lock;
}

// The board of a new device, and the store's memory.
Result<Board*> make_device(const Options& options, const TransportChoice& choice,
                           const codec::Kernels& kernels) {
  // Before the store's memory is attached, all of which it would fault in.
  if (auto guarded = guard_process(); !guarded) return guarded.error();
  if (auto enough = check_memory(options); !enough) return enough.error();
  auto memory = store::Store::make_memory(store_options_of(options, kernels, false));
  if (!memory) return memory.error();
  auto board = make_board(options, choice, memory->id());
  if (!board) store::Memory::remove(memory->id());
  return board;
}

// The board of a device that another daemon can take over with this program.
Result<Board*> board_to_inherit(const std::string& name, const codec::Kernels& kernels) {
  auto board = find_board(name);
  if (!board) return board;
  if ((*board)->has_ended) return Error{ENODEV, name + " is being removed"};
  if ((*board)->device_id < 0) {
    return Error{EOPNOTSUPP,
                 (*board)->path[0] == '\0'
                     ? name + " is not ready yet"
                     : name + " cannot be handed over: " + std::string((*board)->reason) +
                           "; a ublk device can on a kernel that lets its server copy (6.5 or "
                           "later), a loop device on one that sends lost requests again (6.9)"};
  }
  if (!(*board)->outlives_processes() && !is_living(**board)) {
    return Error{ESRCH, "the pages of " + name +
                            " are lost: a loop device ends with the last of its processes"};
  }
  const Options options = options_of(**board);
  if (auto good = check_options(options); !good) return good.error();
  auto memory = store::Memory::attach((*board)->memory_id);
  if (!memory) {
    return with_context(memory.error(), "the pages of " + name + " are lost and are not served");
  }
  const auto store_options = store_options_of(options, kernels, false);
  if (auto known = store::Store::check_memory(store_options, *memory); !known) return known.error();
  return board;
}

// Whose control group a successor is to be in: its own, where a service manager started it.
enum class Group { kOwn, kLastGuardians };

Result<Guardian> prepare_successor(const std::string& name, int ready_fd, Group group,
                                   const ServiceManager& manager) {
  auto signals = begin_process();
  if (!signals) return signals.error();
  const auto kernels = codec::select_kernels();
  if (!kernels) return kernels.error();
  auto board = board_to_inherit(name, **kernels);
  if (!board) return board.error();
  Options options = options_of(**board);
  options.ready_fd = ready_fd;
  const ProcessId last = (*board)->guardian.load();
  if (group == Group::kLastGuardians && is_alive(last)) {
    // What limits the daemon and what ends with it is to stay as it was.
    if (auto joined = join_cgroup_of(last.pid); !joined) {
      log_line(LogLevel::kWarning, joined.error().message);
    }
  }
  if (auto guarded = guard_process(); !guarded) return guarded.error();
  // Only where no daemon lives it is free yet.
  std::optional<NameLock> lock;
  if (auto taken = NameLock::take(name, 0)) lock.emplace(*std::move(taken));
  device::LoopConnection connection;
  if ((*board)->transport == device::TransportKind::kLoop) {
    const pid_t holder = is_alive(last) ? last.pid : (*board)->worker.load().pid;
    auto copied = device::copy_loop_connection(holder, options.queues);
    if (!copied) return with_context(copied.error(), name + " cannot be handed over");
    connection = std::move(*copied);
  }
  ServiceManager told = (*board)->manager;
  if (manager.socket[0] != '\0') std::memcpy(told.socket, manager.socket, sizeof(told.socket));
  if (manager.watchdog_ns != 0) told.watchdog_ns = manager.watchdog_ns;
  return Guardian(std::move(options), std::move(*signals), *board, std::move(lock), told,
                  std::move(connection));
}

int succeed(const std::string& name, int ready_fd, Group group, const ServiceManager& manager) {
  auto guardian = prepare_successor(name, ready_fd, group, manager);
  if (!guardian) {
    tell_of_failure(manager, ready_fd, guardian.error());
    return 1;
  }
  auto succeeded = guardian->succeed();
  if (!succeeded) {
    tell_of_failure(manager, ready_fd, succeeded.error());
    return 1;
  }
  return *succeeded ? **succeeded : guardian->supervise();
}

// Where one dies its spawner takes its place.
Result<ProcessId> living_guardian(const Board& board) {
  for (const std::uint64_t end_ns = monotonic_ns() + kNextGuardianNs; monotonic_ns() < end_ns;) {
    const ProcessId guardian = board.guardian.load();
    if (is_alive(guardian)) return guardian;
    const timespec pause{0, kRetryNs};
    nanosleep(&pause, nullptr);
  }
  return Error{ESRCH, "the device named " + std::string(board.name) +
                          " has lost its guardian; when nothing uses it run: pleat remove " +
                          board.name};
}

// Makes the living guardian of a device that cannot be handed over the service's main process
// again.
Result<void> give_to_manager(Board& board, const ServiceManager& manager) {
  auto guardian = living_guardian(board);
  if (!guardian) return guardian.error();
  const std::string name = board.name;
  if (!shares_cgroup_with(guardian->pid) || board.path[0] == '\0' || manager.socket[0] == '\0') {
    return Error{EADDRINUSE, "a device named " + name +
                                 " is there already, and cannot be handed over: " + board.reason};
  }
  board.has_left_service = false;
  const std::string text =
      std::string(board.path) +
      " is served on by its last daemon, which cannot be replaced: " + board.reason;
  log_line(LogLevel::kNotice, name + ": " + text);
  if (!notify(manager, "MAINPID=" + std::to_string(guardian->pid) + "\nREADY=1\nSTATUS=" + text)) {
    return Error{EIO, "the service manager does not listen"};
  }
  return {};
}

// What a start does about a device that is there already: the exit status, or nothing where there
// is none.
std::optional<int> take_up(const std::string& name, const ServiceManager& manager) {
  auto board = find_board(name);
  if (!board || (*board)->has_ended) return std::nullopt;
  const bool is_recoverable = (*board)->device_id >= 0;
  if (!(*board)->outlives_processes() && !is_living(**board)) return std::nullopt;
  log_line(LogLevel::kNotice, name + " is there already, and stays as it was made");
  if (is_recoverable) return succeed(name, -1, Group::kOwn, manager);
  auto given = give_to_manager(**board, manager);
  if (given) return 0;
  tell_of_failure(manager, -1, given.error());
  return 1;
}

}  // namespace

int run_daemon(const Options& asked) {
  const ServiceManager manager = take_service_manager();
  const auto failed = [&](const Error& error) {
    tell_of_failure(manager, asked.ready_fd, error);
    return 1;
  };
  if (asked.take_up) {
    if (auto allowed = check_root(); !allowed) return failed(allowed.error());
    if (const auto status = take_up(asked.name, manager)) return *status;
  }
  const auto kernels = codec::select_kernels();
  if (!kernels) return failed(kernels.error());
  Options options = asked;
  options.algorithm = codec::codec_or_default(asked.algorithm, **kernels);
  options.queues = queues_of(asked);
  if (auto good = check_options(options); !good) return failed(good.error());
  if (auto good = resolve_writeback_device(options); !good) return failed(good.error());
  auto signals = begin_process();
  if (!signals) return failed(signals.error());
  const auto choice = choose_for(options);
  if (!choice) return failed(choice.error());
  auto lock = take_name(options.name);
  if (!lock) return failed(lock.error());
  auto board = make_device(options, *choice, **kernels);
  if (!board) {
    lock->remove();
    return failed(board.error());
  }
  Guardian guardian(options, std::move(*signals), *board, std::move(*lock), manager,
                    choice->kind == device::TransportKind::kLoop ? connection_for(options)
                                                                 : device::LoopConnection());
  auto started = guardian.start();
  if (!started) {
    guardian.undo();
    return failed(started.error());
  }
  return *started ? **started : guardian.supervise();
}

int run_successor(const std::string& name, int ready_fd) {
  return succeed(name, ready_fd, Group::kLastGuardians, take_service_manager());
}

int run_sweep(SweepOf what) {
  if (auto allowed = check_root(); !allowed) {
    log_line(LogLevel::kError, allowed.error().message);
    return 1;
  }
  const SweepResult swept = sweep(what);
  say_swept(swept);
  return swept.failures.empty() ? 0 : 1;
}

}  // namespace pleat::daemon
