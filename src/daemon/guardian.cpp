// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/guardian.h"

#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/process.h"
#include "base/units.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "control/paths.h"
#include "daemon/log.h"
#include "daemon/name_lock.h"
#include "daemon/notify.h"
#include "daemon/options_check.h"
#include "daemon/pidfd.h"
#include "daemon/ready.h"
#include "daemon/report.h"
#include "daemon/signals.h"
#include "daemon/state_file.h"
#include "daemon/sweep.h"
#include "daemon/worker.h"

namespace pleat::daemon {

namespace {

// A sweep of another daemon holds a name for the time it looks at it.
constexpr unsigned kLockPatienceMs = 500;
// Locking the slot table of the largest device, 32 GiB, takes about 20 s.
constexpr std::uint64_t kStartTimeoutNs = 120'000'000'000;
// A transport's stop() takes at most 10 s, and ending a process about 0.1 s a GiB of store.
constexpr std::uint64_t kEndTimeoutNs = 60'000'000'000;
constexpr unsigned kKillTimeoutMs = 60'000;

// One daemon from its guardian's side.
class Guardian {
 public:
  Guardian(const Options& options, NameLock lock, UniqueFd signals)
      : options_(options), lock_(std::move(lock)), signals_(std::move(signals)) {}

  // Makes the worker, and in it becomes the worker: a value is the exit status of the worker's
  // process, none means that this is the guardian.
  Result<std::optional<int>> fork_worker();
  // Waits until the worker is gone and removes what is left; the exit status.
  int supervise();
  // Removes what a start that failed has written.
  void undo();

 private:
  void handle_report(const Report& report);
  void drain_reports();
  void announce_ready(const Report& report);
  // The exit status of a worker that has ended, with a line for every end but a clean one.
  int take_exit();
  void fail(const Error& error);
  // Kills a worker that is past its time, and says what it was at.
  void kill_late_worker();

  const Options& options_;
  NameLock lock_;
  UniqueFd signals_;
  UniqueFd reports_;
  UniqueFd worker_;  // a pidfd
  pid_t worker_pid_ = -1;
  std::string path_;  // of the device, once it is ready
  bool is_ready_ = false;
  bool has_failed_ = false;        // and the line about it is out
  std::uint64_t deadline_ns_ = 0;  // by which the worker must have taken its next step; 0 = none
};

Result<std::optional<int>> Guardian::fork_worker() {
  auto self = process_id(getpid());
  if (!self) return self.error();
  State state;
  state.name = options_.name;
  state.guardian = *self;
  if (auto saved = save_state(state); !saved) return saved.error();
  auto channel = make_report_channel();
  if (!channel) return channel.error();
  worker_pid_ = fork();
  if (worker_pid_ < 0) return errno_error("cannot fork");
  if (worker_pid_ == 0) {
    // Ctrl-C on a terminal is for the guardian, which passes it on once.
    setsid();
    unsetenv("NOTIFY_SOCKET");
    channel->guardian.reset();
    if (options_.ready_fd >= 0) close(options_.ready_fd);
    return std::optional<int>(run_worker(options_, *self, std::move(channel->worker),
                                         std::move(signals_), std::move(lock_)));
  }
  reports_ = std::move(channel->guardian);
  auto worker = open_pidfd(worker_pid_);
  if (!worker) {
    kill(worker_pid_, SIGKILL);
    waitpid(worker_pid_, nullptr, 0);
    return worker.error();
  }
  worker_ = std::move(*worker);
  deadline_ns_ = monotonic_ns() + kStartTimeoutNs;
  // A guardian whose pages are in the device's own care could not clean up after it. Where this is
  // not allowed the worker fails by the same cause and says so.
  static_cast<void>(lock_memory());
  static_cast<void>(set_io_flusher());
  return std::optional<int>();
}

void Guardian::fail(const Error& error) {
  has_failed_ = true;
  log_line(LogLevel::kError, error.message);
  notify_service_manager("STATUS=" + error.message);
  if (!is_ready_) write_failed_line(options_.ready_fd, error);
}

void Guardian::announce_ready(const Report& report) {
  is_ready_ = true;
  deadline_ns_ = 0;
  path_ = report.device.path;
  const std::string text = options_.name + " is " + path_ + ", " +
                           format_size(options_.size_bytes) + ", " + options_.algorithm + ", " +
                           report.reason;
  log_line(LogLevel::kInfo, text);
  write_ready_line(options_.ready_fd, options_, report, worker_pid_);
  notify_service_manager("READY=1\nMAINPID=" + std::to_string(getpid()) + "\nSTATUS=" + text);
}

void Guardian::handle_report(const Report& report) {
  switch (report.event) {
    case Event::kReady:
      announce_ready(report);
      break;
    case Event::kRefused:
      log_line(LogLevel::kWarning, report.error.message);
      notify_service_manager("STATUS=" + report.error.message);
      break;
    case Event::kStopping:
      notify_service_manager("STOPPING=1");
      deadline_ns_ = monotonic_ns() + kEndTimeoutNs;
      break;
    case Event::kStopped:
      deadline_ns_ = monotonic_ns() + kEndTimeoutNs;
      break;
    case Event::kFailed:
    case Event::kEnded:
      fail(report.error);
      deadline_ns_ = monotonic_ns() + kEndTimeoutNs;
      break;
  }
}

void Guardian::drain_reports() {
  while (reports_) {
    auto report = receive_report(reports_.get());
    if (report) {
      handle_report(*report);
    } else if (report.error().code == EAGAIN || report.error().code == EINTR) {
      return;
    } else {
      reports_.reset();
    }
  }
}

int Guardian::take_exit() {
  siginfo_t info{};
  if (waitid(P_PIDFD, static_cast<id_t>(worker_.get()), &info, WEXITED | WNOHANG) != 0 ||
      info.si_pid == 0) {
    return 1;
  }
  if (info.si_code == CLD_EXITED && info.si_status == 0) return 0;
  if (has_failed_) return 1;
  const std::string device = path_.empty() ? options_.name : options_.name + " (" + path_ + ")";
  const std::string worker =
      "the worker of " + device + ", process " + std::to_string(worker_pid_) + ", ";
  if (info.si_code == CLD_EXITED) {
    fail(Error{EIO, worker + "exited with status " + std::to_string(info.si_status) +
                        "; the pages of the device are lost"});
    return 1;
  }
  const char* const signal_name = sigabbrev_np(info.si_status);
  fail(Error{EIO, worker + "was killed by SIG" + (signal_name != nullptr ? signal_name : "?") +
                      "; the pages of the device are lost"});
  return 1;
}

void Guardian::kill_late_worker() {
  deadline_ns_ = 0;
  if (!has_failed_) {
    fail(Error{ETIMEDOUT, "the worker of " + options_.name + " did not " +
                              (is_ready_ ? "end" : "start") + " in time and is killed"});
  }
  static_cast<void>(send_signal(worker_, SIGKILL));
  wait_for_exit(worker_, kKillTimeoutMs);
}

int Guardian::supervise() {
  bool has_exited = false;
  while (!has_exited) {
    std::array<pollfd, 3> entries = {{{signals_.get(), POLLIN, 0},
                                      {worker_.get(), POLLIN, 0},
                                      {reports_ ? reports_.get() : -1, POLLIN, 0}}};
    int timeout_ms = -1;
    if (deadline_ns_ != 0) {
      const std::uint64_t now_ns = monotonic_ns();
      timeout_ms =
          deadline_ns_ > now_ns ? static_cast<int>((deadline_ns_ - now_ns) / 1'000'000) + 1 : 0;
    }
    const int count = poll(entries.data(), entries.size(), timeout_ms);
    if (count < 0) continue;
    if (count == 0) {
      kill_late_worker();
      break;
    }
    if (entries[0].revents != 0 && take_signal(signals_.get()) != 0) {
      // A worker that has just ended needs none.
      static_cast<void>(send_signal(worker_, SIGTERM));
    }
    if (entries[2].revents != 0) drain_reports();
    has_exited = entries[1].revents != 0;
  }
  drain_reports();
  const int status = take_exit();
  if (auto cleaned = clean_up(options_.name, lock_); !cleaned) {
    log_line(LogLevel::kError, "cannot remove what is left of " + options_.name + ": " +
                                   cleaned.error().message +
                                   "; when nothing uses it any more run: pleatd --sweep");
  }
  lock_.remove();
  return status;
}

void Guardian::undo() {
  remove_state(options_.name);
  lock_.remove();
}

void say_swept(const SweepResult& swept) {
  for (const std::string& name : swept.removed) {
    log_line(LogLevel::kNotice, "removed what a dead daemon left of " + name);
  }
  for (const Error& error : swept.failures) {
    log_line(LogLevel::kWarning, "cannot remove what a dead daemon left: " + error.message);
  }
}

// Everything before the worker exists.
Result<Guardian> prepare(const Options& options) {
  auto signals = open_stop_signals();
  if (!signals) return signals.error();
  if (auto good = check_options(options); !good) return good.error();
  if (auto allowed = check_root(); !allowed) return allowed.error();
  if (auto made = control::make_runtime_directory(); !made) return made.error();
  say_swept(sweep());
  auto lock = NameLock::take(options.name, kLockPatienceMs);
  if (!lock) return lock.error();
  // Left over if the last daemon of this name was still dying when the sweep asked for its lock.
  const bool is_left_over = load_state(options.name).has_value();
  if (auto cleaned = clean_up(options.name, *lock); !cleaned) {
    lock->remove();
    return with_context(cleaned.error(),
                        "the last device named " + options.name + " cannot be removed yet");
  }
  if (is_left_over) say_swept({.removed = {options.name}, .failures = {}});
  if (auto safe = protect_from_oom_killer(); !safe) {
    log_line(LogLevel::kWarning, "the OOM killer may end this daemon: " + safe.error().message);
  }
  return Guardian(options, std::move(*lock), std::move(*signals));
}

int report_failed_start(const Options& options, const Error& error) {
  log_line(LogLevel::kError, error.message);
  notify_service_manager("STATUS=" + error.message);
  write_failed_line(options.ready_fd, error);
  return 1;
}

}  // namespace

int run_daemon(const Options& asked) {
  const auto kernels = codec::select_kernels();
  if (!kernels) return report_failed_start(asked, kernels.error());
  Options options = asked;
  options.algorithm = codec::codec_or_default(asked.algorithm, **kernels);
  auto guardian = prepare(options);
  if (!guardian) return report_failed_start(options, guardian.error());
  auto forked = guardian->fork_worker();
  if (!forked) {
    guardian->undo();
    return report_failed_start(options, forked.error());
  }
  if (forked->has_value()) return **forked;
  return guardian->supervise();
}

int run_sweep() {
  if (auto allowed = check_root(); !allowed) {
    log_line(LogLevel::kError, allowed.error().message);
    return 1;
  }
  const SweepResult swept = sweep();
  say_swept(swept);
  return swept.failures.empty() ? 0 : 1;
}

}  // namespace pleat::daemon
