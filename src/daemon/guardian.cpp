// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/guardian.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/event.h"
#include "base/process.h"
#include "base/units.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "control/paths.h"
#include "daemon/board.h"
#include "daemon/log.h"
#include "daemon/name_lock.h"
#include "daemon/notify.h"
#include "daemon/options_check.h"
#include "daemon/pidfd.h"
#include "daemon/ready.h"
#include "daemon/report.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "daemon/spawner.h"
#include "daemon/state_file.h"
#include "daemon/sweep.h"
#include "daemon/worker.h"
#include "store/store.h"

namespace pleat::daemon {

namespace {

// A sweep of another daemon holds a name for the time it looks at it.
constexpr unsigned kLockPatienceMs = 500;
// Locking the slot table of the largest device, 32 GiB, takes about 20 s.
constexpr std::uint64_t kStartTimeoutNs = 120'000'000'000;
// A transport's stop() takes at most 10 s, and ending a process about 0.1 s a GiB of store.
constexpr std::uint64_t kEndTimeoutNs = 60'000'000'000;
constexpr unsigned kKillTimeoutMs = 60'000;

// Workers in a row that may die before they serve.
constexpr unsigned kTakeOversMax = 4;
// Waiting for the driver to let go of a dead worker takes at most 60 s, and mostly 40 ms.
constexpr std::uint64_t kTakeOverTimeoutNs = 90'000'000'000;
// A stand-by that was asked for and has not reported by then is dead.
constexpr std::uint64_t kStandByPatienceNs = 10'000'000'000;
// How often the worker's heartbeat is looked at.
constexpr int kWatchMs = 250;
constexpr unsigned kSpawnerEndMs = 2000;

// One daemon from its guardian's side.
class Guardian {
 public:
  Guardian(const Options& options, NameLock lock, UniqueFd signals)
      : options_(options), lock_(std::move(lock)), signals_(std::move(signals)) {}

  // Makes the store's memory and all that this process needs until its end.
  Result<void> make_memory(const codec::Kernels& kernels);
  // Makes the spawner and the worker, and in them becomes one of these or a stand-by: a value is
  // the exit status of that process, none means that this is the guardian.
  Result<std::optional<int>> fork_others();
  // Waits until the worker is gone for good and removes what is left; the exit status.
  int supervise();
  // Removes what a start that failed has written.
  void undo();

 private:
  // Everything of one child process.
  struct Process {
    pid_t pid = -1;
    UniqueFd pidfd;
  };

  WorkerSetup setup_for_child(const ProcessId& self);
  int become_spawner(const ProcessId& self);
  void handle_report(const Report& report);
  void drain_reports();
  void announce_ready(const Report& report);
  void welcome_stand_by(const Report& report);
  void want_stand_by(unsigned slot);
  void count_stand_bys();
  void note_dead_stand_bys();
  // A stand-by goes in the dead worker's place, at once or when it is ready.
  void replace_worker();
  // Deals with the worker's end; whether another takes its place.
  bool is_succeeded();
  void stop_worker();
  bool may_replace() const;
  // Kills a worker that has not said for too long that it runs.
  void check_heartbeat();
  int poll_timeout_ms() const;
  // The exit status of a worker that has ended, with a line for every end but a clean one.
  int take_exit();
  std::string describe_exit(const siginfo_t& info) const;
  // A line for people, by way of the logger (board.h says why), once there is one.
  void log(LogLevel level, const std::string& text);
  void fail(const Error& error);
  // Kills a worker that is past its time, and says what it was at.
  void kill_late_worker();
  void end_stand_bys();
  void end_spawner();

  const Options& options_;
  NameLock lock_;
  UniqueFd signals_;
  std::optional<store::Memory> memory_;
  Board* board_ = nullptr;
  ReportChannel channel_;
  StandByEvents events_;
  Process spawner_;
  Process worker_;
  std::array<Process, kStandBys> stand_bys_;
  std::array<std::uint64_t, kStandBys> wanted_ns_{};  // when it was last asked for
  std::string path_;                                  // of the device, once it is ready
  bool is_ready_ = false;
  bool is_recoverable_ = false;
  bool is_stopping_ = false;
  bool stop_is_wanted_ = false;
  bool waits_for_stand_by_ = false;  // the worker is dead, and no stand-by was ready
  bool takes_over_ = false;          // a stand-by was told to go and does not serve yet
  unsigned failed_take_overs_ = 0;
  bool has_failed_ = false;        // and the line about it is out
  std::uint64_t deadline_ns_ = 0;  // by which the worker must have taken its next step; 0 = none
  std::uint64_t died_ns_ = 0;      // when the last worker was found dead
};

Result<void> Guardian::make_memory(const codec::Kernels& kernels) {
  // Before the store's memory is attached, all of which it would fault in.
  if (auto locked = lock_memory(); !locked) return locked;
  if (auto enough = check_memory(options_); !enough) return enough;
  auto memory = store::Store::make_memory(store_options_of(options_, kernels, false));
  if (!memory) return memory.error();
  memory_.emplace(*std::move(memory));
  auto board = make_board();
  if (!board) return board.error();
  board_ = *board;
  board_->mem_limit_bytes = options_.mem_limit_bytes;
  auto channel = make_report_channel();
  if (!channel) return channel.error();
  channel_ = *std::move(channel);
  auto events = make_stand_by_events();
  if (!events) return events.error();
  events_ = *std::move(events);
  return {};
}

WorkerSetup Guardian::setup_for_child(const ProcessId& self) {
  // Ctrl-C on a terminal is for the guardian, which passes it on once.
  setsid();
  unsetenv("NOTIFY_SOCKET");
  channel_.guardian.reset();
  if (options_.ready_fd >= 0) close(options_.ready_fd);
  const int memory_id = memory_->id();
  // A child that locks its memory would fault all of this in; it attaches again.
  memory_.reset();
  return {options_,        self, memory_id, board_, std::move(channel_.worker), std::move(signals_),
          std::move(lock_)};
}

int Guardian::become_spawner(const ProcessId& self) {
  WorkerSetup setup = setup_for_child(self);
  // Whoever has the name's lock is taken for the daemon; a stand-by is one only while it serves,
  // but then it must have it.
  return run_spawner(events_, *board_, setup.reports.get(), [&](unsigned slot) {
    return run_stand_by(std::move(setup), slot, events_.go[slot].get());
  });
}

Result<std::optional<int>> Guardian::fork_others() {
  auto self = process_id(getpid());
  if (!self) return self.error();
  State state;
  state.name = options_.name;
  state.guardian = *self;
  if (auto saved = save_state(state); !saved) return saved.error();
  // Stand-bys are made by a child that ends: they become children of this process.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return errno_error("cannot adopt processes");
  for (Process* const process : {&spawner_, &worker_}) {
    process->pid = fork();
    if (process->pid < 0) return errno_error("cannot fork");
    if (process->pid == 0) {
      return std::optional<int>(process == &spawner_ ? become_spawner(*self)
                                                     : run_worker(setup_for_child(*self)));
    }
    auto pidfd = open_pidfd(process->pid);
    if (!pidfd) {
      kill(process->pid, SIGKILL);
      waitpid(process->pid, nullptr, 0);
      return pidfd.error();
    }
    process->pidfd = std::move(*pidfd);
  }
  deadline_ns_ = monotonic_ns() + kStartTimeoutNs;
  return std::optional<int>();
}

void Guardian::log(LogLevel level, const std::string& text) {
  const unsigned number = board_->logged.load(std::memory_order_relaxed);
  LoggedLine& line = board_->lines[number % Board::kLines];
  line.level = static_cast<int>(level);
  line.text[text.copy(line.text, sizeof(line.text) - 1)] = '\0';
  board_->logged.store(number + 1, std::memory_order_release);
  raise_event(events_.logged.get());
}

void Guardian::fail(const Error& error) {
  has_failed_ = true;
  log(LogLevel::kError, error.message);
  notify_service_manager("STATUS=" + error.message);
  if (!is_ready_) write_failed_line(options_.ready_fd, error);
}

void Guardian::announce_ready(const Report& report) {
  is_ready_ = true;
  is_recoverable_ = report.device.recoverable;
  deadline_ns_ = 0;
  path_ = report.device.path;
  const std::string text = options_.name + " is " + path_ + ", " +
                           format_size(options_.size_bytes) + ", " + options_.algorithm + ", " +
                           report.reason;
  // Before anybody can use the device.
  log_line(LogLevel::kInfo, text);
  write_ready_line(options_.ready_fd, options_, report, worker_.pid);
  notify_service_manager("READY=1\nMAINPID=" + std::to_string(getpid()) + "\nSTATUS=" + text);
  if (!is_recoverable_) return;
  board_->device_id = report.device.id;
  report.reason.copy(board_->reason, sizeof(board_->reason) - 1);
  for (unsigned slot = 0; slot < kStandBys; ++slot) want_stand_by(slot);
}

void Guardian::want_stand_by(unsigned slot) {
  wanted_ns_[slot] = monotonic_ns();
  raise_event(events_.wanted[slot].get());
}

void Guardian::welcome_stand_by(const Report& report) {
  if (report.slot >= kStandBys) return;
  auto pidfd = open_pidfd(report.pid);
  if (!pidfd) return;  // it is dead again, and its end is found below
  stand_bys_[report.slot] = {report.pid, std::move(*pidfd)};
  count_stand_bys();
  if (waits_for_stand_by_) replace_worker();
}

void Guardian::count_stand_bys() {
  unsigned count = 0;
  for (const Process& stand_by : stand_bys_) count += stand_by.pid >= 0 ? 1 : 0;
  board_->stand_bys_ready = count;
}

void Guardian::handle_report(const Report& report) {
  switch (report.event) {
    case Event::kReady:
      announce_ready(report);
      break;
    case Event::kStandingBy:
      welcome_stand_by(report);
      break;
    case Event::kTookOver: {
      takes_over_ = false;
      failed_take_overs_ = 0;
      deadline_ns_ = 0;
      const std::string text = path_ + " is served by process " + std::to_string(report.pid) + " " +
                               std::to_string((monotonic_ns() - died_ns_) / 1'000'000) +
                               " ms after its worker ended; no page is lost";
      log(LogLevel::kWarning, text);
      notify_service_manager("STATUS=" + text);
      break;
    }
    case Event::kRefused:
      log(LogLevel::kWarning, report.error.message);
      notify_service_manager("STATUS=" + report.error.message);
      break;
    case Event::kStopping:
      notify_service_manager("STOPPING=1");
      is_stopping_ = true;
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
  while (channel_.guardian) {
    auto report = receive_report(channel_.guardian.get());
    if (report) {
      handle_report(*report);
    } else if (report.error().code == EAGAIN || report.error().code == EINTR) {
      return;
    } else if (report.error().code != EBADMSG) {
      channel_.guardian.reset();
    }
  }
}

bool Guardian::may_replace() const {
  return is_recoverable_ && !is_stopping_ && !has_failed_ && failed_take_overs_ < kTakeOversMax;
}

// Called when the worker is dead. Nothing here waits for memory before a stand-by was told to go.
void Guardian::replace_worker() {
  for (unsigned slot = 0; slot < kStandBys; ++slot) {
    Process& stand_by = stand_bys_[slot];
    if (stand_by.pid < 0) continue;
    raise_event(events_.go[slot].get());
    worker_ = std::move(stand_by);
    stand_by = {};
    count_stand_bys();
    waits_for_stand_by_ = false;
    takes_over_ = true;
    ++failed_take_overs_;  // until it reports
    deadline_ns_ = monotonic_ns() + kTakeOverTimeoutNs;
    want_stand_by(slot);
    return;
  }
  // Those that were asked for will report.
  waits_for_stand_by_ = true;
  deadline_ns_ = monotonic_ns() + kTakeOverTimeoutNs;
}

void Guardian::note_dead_stand_bys() {
  // Every child that has ended but the worker, whose status is taken where it is dealt with.
  siginfo_t info{};
  while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0 &&
         info.si_pid != worker_.pid) {
    waitpid(info.si_pid, nullptr, 0);
    for (Process& stand_by : stand_bys_) {
      if (stand_by.pid == info.si_pid) stand_by = {};
    }
    count_stand_bys();
    info = {};
  }
  if (!may_replace()) return;
  for (unsigned slot = 0; slot < kStandBys; ++slot) {
    const std::uint64_t since_ns = monotonic_ns() - wanted_ns_[slot];
    if (stand_bys_[slot].pid < 0 && since_ns > kStandByPatienceNs) want_stand_by(slot);
  }
}

void Guardian::check_heartbeat() {
  if (!is_ready_ || !is_recoverable_ || is_stopping_ || takes_over_ || waits_for_stand_by_) return;
  const std::uint64_t last_ns = board_->heartbeat_ns.load(std::memory_order_relaxed);
  if (last_ns == 0 || monotonic_ns() - last_ns < kHeartbeatLimitNs) return;
  board_->heartbeat_ns.store(0, std::memory_order_relaxed);
  static_cast<void>(send_signal(worker_.pidfd, SIGKILL));
  log(LogLevel::kWarning, "the worker of " + path_ + ", process " + std::to_string(worker_.pid) +
                              ", does not run any more and is killed");
}

std::string Guardian::describe_exit(const siginfo_t& info) const {
  const std::string device = path_.empty() ? options_.name : options_.name + " (" + path_ + ")";
  const std::string worker =
      "the worker of " + device + ", process " + std::to_string(info.si_pid) + ", ";
  if (info.si_code == CLD_EXITED) {
    return worker + "exited with status " + std::to_string(info.si_status);
  }
  const char* const signal_name = sigabbrev_np(info.si_status);
  return worker + "was killed by SIG" + (signal_name != nullptr ? signal_name : "?");
}

int Guardian::take_exit() {
  siginfo_t info{};
  if (waitid(P_PIDFD, static_cast<id_t>(worker_.pidfd.get()), &info, WEXITED | WNOHANG) != 0 ||
      info.si_pid == 0) {
    return 1;
  }
  if (info.si_code == CLD_EXITED && info.si_status == 0) return 0;
  if (!has_failed_) {
    fail(Error{EIO, describe_exit(info) + "; the pages of the device are lost"});
  }
  return 1;
}

bool Guardian::is_succeeded() {
  if (board_->has_ended || !may_replace()) return false;
  if (!takes_over_) died_ns_ = monotonic_ns();
  takes_over_ = false;
  const Process dead = std::exchange(worker_, {});
  replace_worker();
  // Whoever takes over is on its way; now there is time.
  siginfo_t info{};
  if (waitid(P_PIDFD, static_cast<id_t>(dead.pidfd.get()), &info, WEXITED | WNOHANG) == 0) {
    log(LogLevel::kWarning, describe_exit(info) + "; a stand-by takes over");
  }
  return true;
}

void Guardian::stop_worker() {
  // A worker that has just ended needs no signal; one that just takes over gets it later.
  if (waits_for_stand_by_ || takes_over_) return;
  stop_is_wanted_ = false;
  static_cast<void>(send_signal(worker_.pidfd, SIGTERM));
}

void Guardian::kill_late_worker() {
  deadline_ns_ = 0;
  if (!has_failed_ && waits_for_stand_by_) {
    fail(Error{ETIMEDOUT, "no stand-by became ready to serve " + path_ +
                              "; the pages of the device are lost"});
  } else if (!has_failed_ && !takes_over_) {
    fail(Error{ETIMEDOUT, "the worker of " + options_.name + " did not " +
                              (is_ready_ ? "end" : "start") + " in time and is killed"});
  }
  if (worker_.pid < 0) return;
  static_cast<void>(send_signal(worker_.pidfd, SIGKILL));
  wait_for_exit(worker_.pidfd, kKillTimeoutMs);
}

int Guardian::poll_timeout_ms() const {
  int timeout_ms = is_recoverable_ ? kWatchMs : -1;
  if (deadline_ns_ != 0) {
    const std::uint64_t now_ns = monotonic_ns();
    const int left_ms =
        deadline_ns_ > now_ns ? static_cast<int>((deadline_ns_ - now_ns) / 1'000'000) + 1 : 0;
    timeout_ms = timeout_ms < 0 ? left_ms : std::min(timeout_ms, left_ms);
  }
  return timeout_ms;
}

int Guardian::supervise() {
  while (true) {
    std::array<pollfd, 3> entries = {
        {{signals_.get(), POLLIN, 0},
         {worker_.pid >= 0 ? worker_.pidfd.get() : -1, POLLIN, 0},
         {channel_.guardian ? channel_.guardian.get() : -1, POLLIN, 0}}};
    const int count = poll(entries.data(), entries.size(), poll_timeout_ms());
    if (count < 0) continue;
    // The worker's end before all else: programs wait for their pages.
    if (entries[1].revents != 0 && is_succeeded()) continue;
    if (entries[0].revents != 0 && take_signal(signals_.get()) != 0) stop_is_wanted_ = true;
    if (entries[2].revents != 0) drain_reports();
    if (entries[1].revents != 0) break;
    if (stop_is_wanted_) stop_worker();
    if (deadline_ns_ != 0 && monotonic_ns() >= deadline_ns_) {
      kill_late_worker();
      if (worker_.pid < 0 || !may_replace()) break;
    }
    check_heartbeat();
    note_dead_stand_bys();
  }
  drain_reports();
  const int status = worker_.pid >= 0 ? take_exit() : 1;
  end_stand_bys();
  if (auto cleaned = clean_up(options_.name, lock_); !cleaned) {
    log(LogLevel::kError, "cannot remove what is left of " + options_.name + ": " +
                              cleaned.error().message +
                              "; when nothing uses it any more run: pleatd --sweep");
  }
  end_spawner();
  lock_.remove();
  return status;
}

void Guardian::end_stand_bys() {
  // One that has not reported yet ends by this, once the channel is closed.
  board_->has_ended = true;
  for (const Process& stand_by : stand_bys_) {
    if (stand_by.pid < 0) continue;
    static_cast<void>(send_signal(stand_by.pidfd, SIGKILL));
    wait_for_exit(stand_by.pidfd, kKillTimeoutMs);
  }
}

void Guardian::end_spawner() {
  // It prints the last lines and ends, by itself.
  channel_.guardian.reset();
  if (wait_for_exit(spawner_.pidfd, kSpawnerEndMs)) return;
  static_cast<void>(send_signal(spawner_.pidfd, SIGKILL));
  wait_for_exit(spawner_.pidfd, kKillTimeoutMs);
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
  if (auto made = guardian->make_memory(**kernels); !made) {
    guardian->undo();
    return report_failed_start(options, made.error());
  }
  auto forked = guardian->fork_others();
  if (!forked) {
    guardian->undo();
    return report_failed_start(options, forked.error());
  }
  if (forked->has_value()) return **forked;
  // Where this is not allowed the worker says so.
  static_cast<void>(set_io_flusher());
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
