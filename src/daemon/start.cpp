// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/start.h"

#include <cerrno>
#include <optional>
#include <utility>

#include "base/process.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "control/paths.h"
#include "daemon/board.h"
#include "daemon/guardian.h"
#include "daemon/log.h"
#include "daemon/name_lock.h"
#include "daemon/notify.h"
#include "daemon/options_check.h"
#include "daemon/ready.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "daemon/state_file.h"
#include "store/store.h"

namespace pleat::daemon {

namespace {

// A sweep of another daemon holds a name for the time it looks at it.
constexpr unsigned kLockPatienceMs = 500;

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

Result<UniqueFd> begin_process() {
  auto signals = open_stop_signals();
  if (!signals) return signals.error();
  if (auto allowed = check_root(); !allowed) return allowed.error();
  if (auto made = control::make_runtime_directory(); !made) return made.error();
  return signals;
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
Result<Board*> make_device(const Options& options, const codec::Kernels& kernels) {
  // Before the store's memory is attached, all of which it would fault in.
  if (auto guarded = guard_process(); !guarded) return guarded.error();
  if (auto enough = check_memory(options); !enough) return enough.error();
  auto memory = store::Store::make_memory(store_options_of(options, kernels, false));
  if (!memory) return memory.error();
  auto board = make_board(options, memory->id());
  if (!board) store::Memory::remove(memory->id());
  return board;
}

int report_failed_start(int ready_fd, const Error& error) {
  log_line(LogLevel::kError, error.message);
  notify_service_manager("STATUS=" + error.message);
  write_failed_line(ready_fd, error);
  return 1;
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
                           "; only a ublk device of a kernel that lets servers of one copy (6.5 or "
                           "later) can"};
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

Result<Guardian> prepare_successor(const std::string& name, int ready_fd) {
  auto signals = begin_process();
  if (!signals) return signals.error();
  const auto kernels = codec::select_kernels();
  if (!kernels) return kernels.error();
  auto board = board_to_inherit(name, **kernels);
  if (!board) return board.error();
  Options options = options_of(**board);
  options.ready_fd = ready_fd;
  const ProcessId last = (*board)->guardian.load();
  if (is_alive(last)) {
    // What limits the daemon and what ends with it is to stay as it was.
    if (auto joined = join_cgroup_of(last.pid); !joined) {
      log_line(LogLevel::kWarning, joined.error().message);
    }
  }
  if (auto guarded = guard_process(); !guarded) return guarded.error();
  // Only where no daemon lives it is free yet.
  std::optional<NameLock> lock;
  if (auto taken = NameLock::take(name, 0)) lock.emplace(*std::move(taken));
  return Guardian(std::move(options), std::move(*signals), *board, std::move(lock));
}

}  // namespace

int run_daemon(const Options& asked) {
  const auto kernels = codec::select_kernels();
  if (!kernels) return report_failed_start(asked.ready_fd, kernels.error());
  Options options = asked;
  options.algorithm = codec::codec_or_default(asked.algorithm, **kernels);
  options.queues = queues_of(asked);
  const auto failed = [&](const Error& error) {
    return report_failed_start(options.ready_fd, error);
  };
  if (auto good = check_options(options); !good) return failed(good.error());
  auto signals = begin_process();
  if (!signals) return failed(signals.error());
  auto lock = take_name(options.name);
  if (!lock) return failed(lock.error());
  auto board = make_device(options, **kernels);
  if (!board) {
    lock->remove();
    return failed(board.error());
  }
  Guardian guardian(options, std::move(*signals), *board, std::move(*lock));
  auto started = guardian.start();
  if (!started) {
    guardian.undo();
    return failed(started.error());
  }
  return *started ? **started : guardian.supervise();
}

int run_successor(const std::string& name, int ready_fd) {
  auto guardian = prepare_successor(name, ready_fd);
  if (!guardian) return report_failed_start(ready_fd, guardian.error());
  auto succeeded = guardian->succeed();
  if (!succeeded) return report_failed_start(ready_fd, succeeded.error());
  return *succeeded ? **succeeded : guardian->supervise();
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
