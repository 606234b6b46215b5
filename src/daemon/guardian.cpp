// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/guardian.h"

#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/clock.h"
#include "base/event.h"
#include "base/process.h"
#include "base/units.h"
#include "daemon/pidfd.h"
#include "daemon/ready.h"
#include "daemon/signals.h"
#include "daemon/state_file.h"
#include "daemon/sweep.h"
#include "store/memory.h"

namespace pleat::daemon {

namespace {

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
// How often the worker's heartbeat is looked at, and how often an heir is.
constexpr int kWatchMs = 250;
constexpr int kWatchHeirMs = 20;
// A look at the heartbeat that comes later than this is late itself.
constexpr std::uint64_t kLookNs = std::uint64_t{2 * kWatchMs} * 1'000'000;
// For how long an heir's worker must have served.
constexpr std::uint64_t kProbationNs = 1'000'000'000;
// sd_watchdog_enabled(3) asks for two; one may be late.
constexpr std::uint64_t kBeatsAWatchdog = 3;
// As long as an heir takes at most to give up by itself, and a little more.
constexpr std::uint64_t kHeirTimeoutNs = 100'000'000'000;
constexpr unsigned kSpawnerEndMs = 2000;
constexpr unsigned kLoggerEndMs = 1500;
// A sweep of another daemon holds a name for the time it looks at it.
constexpr unsigned kCleanUpLockMs = 500;

// How a process ended; si_pid is 0 where it is not a child of this one.
siginfo_t exit_of(const UniqueFd& pidfd) {
  siginfo_t info{};
  if (waitid(P_PIDFD, static_cast<id_t>(pidfd.get()), &info, WEXITED | WNOHANG) != 0) info = {};
  return info;
}

}  // namespace

Guardian::Guardian(Options options, UniqueFd signals, Board* board, std::optional<NameLock> lock,
                   const ServiceManager& manager, device::LoopConnection connection)
    : options_(std::move(options)),
      signals_(std::move(signals)),
      board_(board),
      lock_(std::move(lock)),
      manager_(manager),
      connection_(std::move(connection)) {}

bool Guardian::Process::has_ended() const { return wait_for_exit(pidfd, 0); }

Result<void> Guardian::prepare() {
  auto self = process_id(getpid());
  if (!self) return self.error();
  self_ = *self;
  auto bulletin = make_bulletin();
  if (!bulletin) return bulletin.error();
  bulletin_ = *bulletin;
  auto channel = make_report_channel();
  if (!channel) return channel.error();
  channel_ = *std::move(channel);
  auto events = make_stand_by_events();
  if (!events) return events.error();
  events_ = *std::move(events);
  // Stand-bys are made by a child that ends: they become children of this process.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return errno_error("cannot adopt processes");
  return {};
}

Result<std::optional<int>> Guardian::make(Process& process, int (Guardian::*become)()) {
  process.pid = fork();
  if (process.pid < 0) return errno_error("cannot fork");
  if (process.pid == 0) {
    leave_session();
    return std::optional<int>((this->*become)());
  }
  auto pidfd = open_pidfd(process.pid);
  if (!pidfd) {
    kill(process.pid, SIGKILL);
    waitpid(process.pid, nullptr, 0);
    process = {};
    return pidfd.error();
  }
  process.pidfd = std::move(*pidfd);
  return std::optional<int>();
}

Result<std::optional<int>> Guardian::start() {
  if (auto prepared = prepare(); !prepared) return prepared.error();
  board_->guardian.store(self_);
  board_->manager = manager_;
  State state;
  state.name = options_.name;
  state.guardian = self_;
  if (auto saved = save_state(state); !saved) return saved.error();
  for (const auto& [process, become] : helpers()) {
    auto made = make(*process, become);
    if (!made || *made) return made;
  }
  deadline_ns_ = monotonic_ns() + kStartTimeoutNs;
  return make(worker_, &Guardian::become_worker);
}

std::array<Guardian::Helper, 2> Guardian::helpers() {
  return {{{&logger_, &Guardian::become_logger}, {&spawner_, &Guardian::become_spawner}}};
}

void Guardian::undo() {
  remove_state(options_.name);
  remove_board(options_.name);
  if (lock_) lock_->remove();
}

void Guardian::leave_session() {
  // Ctrl-C on a terminal is for the guardian, which passes it on once.
  setsid();
  if (options_.ready_fd >= 0) close(options_.ready_fd);
  options_.ready_fd = -1;
}

WorkerSetup Guardian::worker_setup() {
  // Whoever has the guardian's end is one: its loss tells the others that there is none.
  channel_.guardian.reset();
  return {options_,
          board_,
          bulletin_,
          std::move(channel_.worker),
          std::move(signals_),
          std::move(lock_),
          std::move(connection_)};
}

int Guardian::become_worker() { return run_worker(worker_setup()); }

int Guardian::become_logger() {
  // One that waits for a page which it has in swap would keep a frozen daemon from being frozen.
  static_cast<void>(lock_memory());
  channel_.guardian.reset();
  connection_.clear();
  if (lock_) lock_->forget();
  if (const auto self = process_id(getpid())) bulletin_->logger.store(*self);
  return run_logger(events_, *bulletin_, channel_.worker.get());
}

int Guardian::become_spawner() {
  // It must not have to wait for its own pages when it is needed most.
  static_cast<void>(lock_memory());
  const auto self = process_id(getpid());
  if (!self) return 1;
  const auto guardian = is_alive(self_) ? open_pidfd(self_.pid) : Result<UniqueFd>(UniqueFd());
  bulletin_->spawner.store(*self);
  if (guardian && *guardian) {
    const std::optional<int> status =
        run_spawner(events_, *bulletin_, *guardian, [this](unsigned slot) {
          return run_stand_by(worker_setup(), slot, events_.go[slot].get());
        });
    if (status) return *status;
  }
  const ProcessId dead = std::exchange(self_, *self);
  spawner_ = {};
  // Before this one is the guardian: one that has no spawner is the last. Where the worker is dead
  // it comes first.
  if (is_alive(board_->worker.load())) {
    auto made = make(spawner_, &Guardian::become_spawner);
    if (made && *made) return **made;
  }
  // Where the dead one was an heir, the last guardian goes on without what this one has made.
  const ProcessId seated = board_->guardian.load();
  const bool was_heir = board_->heir.load() == dead && seated != dead;
  if (was_heir || is_alive(seated) || !board_->guardian.pass(seated, self_)) {
    bulletin_->is_over = true;
    return 0;
  }
  return take_place();
}

int Guardian::take_place() {
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const auto find = [](const ProcessId& process) {
    auto pidfd = is_alive(process) ? open_pidfd(process.pid) : Result<UniqueFd>(UniqueFd());
    if (!pidfd || !*pidfd) return Process();
    return Process{process.pid, std::move(*pidfd)};
  };
  worker_ = find(board_->worker.load());
  for (unsigned slot = 0; slot < kStandBys; ++slot) {
    stand_bys_[slot] = find(bulletin_->stand_bys[slot].load());
  }
  // Copies of what the guardian was when it made this process.
  is_heir_ = false;
  is_ready_ = board_->path[0] != '\0';
  is_recoverable_ = board_->device_id >= 0;
  failed_take_overs_ = 0;
  if (worker_.pid < 0) {
    if (board_->has_ended || !may_replace()) return finish();
    died_ns_ = monotonic_ns();
    replace_worker();
  }
  logger_ = find(bulletin_->logger.load());
  log(LogLevel::kWarning, "the guardian of " + options_.name + " is gone; process " +
                              std::to_string(self_.pid) + " has taken its place");
  tell_manager("MAINPID=" + std::to_string(self_.pid));
  return supervise();
}

void Guardian::log(LogLevel level, const std::string& text) {
  const unsigned number = bulletin_->logged.load(std::memory_order_relaxed);
  LoggedLine& line = bulletin_->lines[number % Bulletin::kLines];
  line.level = static_cast<int>(level);
  line.text[text.copy(line.text, sizeof(line.text) - 1)] = '\0';
  bulletin_->logged.store(number + 1, std::memory_order_release);
  raise_event(events_.logged.get());
}

void Guardian::tell_manager(const std::string& message) {
  if (is_heir_ || !board_->has_left_service) notify(manager_, message);
}

void Guardian::beat() {
  const std::uint64_t now_ns = monotonic_ns();
  if (manager_.watchdog_ns == 0 || now_ns < next_beat_ns_) return;
  next_beat_ns_ = now_ns + manager_.watchdog_ns / kBeatsAWatchdog;
  tell_manager("WATCHDOG=1");
}

int Guardian::leave_service() {
  board_->has_left_service = true;
  return 0;
}

void Guardian::fail(const Error& error) {
  has_failed_ = true;
  log(LogLevel::kError, error.message);
  tell_manager("STATUS=" + error.message);
  write_failed_line(std::exchange(options_.ready_fd, -1), error);
}

void Guardian::announce_ready(const Report& report) {
  is_ready_ = true;
  is_recoverable_ = report.device.recoverable;
  deadline_ns_ = 0;
  report.device.path.copy(board_->path, sizeof(board_->path) - 1);
  const std::string text = options_.name + " is " + board_->path + ", " +
                           format_size(options_.size_bytes) + ", " + options_.algorithm + ", " +
                           report.reason;
  if (is_recoverable_) {
    board_->device_id = report.device.id;
  } else {
    // Nobody could take up where the worker ends, so its memory ends with it.
    store::Memory::remove(board_->memory_id);
  }
  // Before anybody can use the device.
  log_line(LogLevel::kInfo, text);
  write_ready_line(std::exchange(options_.ready_fd, -1), options_, report, worker_.pid);
  tell_manager("READY=1\nMAINPID=" + std::to_string(self_.pid) + "\nSTATUS=" + text);
}

void Guardian::announce_take_over(const Report& report) {
  takes_over_ = false;
  failed_take_overs_ = 0;
  deadline_ns_ = 0;
  if (is_heir_) proved_ns_ = monotonic_ns() + kProbationNs;
  const std::string text = std::string(board_->path) + " is served by process " +
                           std::to_string(report.pid) + " " +
                           std::to_string((monotonic_ns() - died_ns_) / 1'000'000) +
                           " ms after its worker ended; no page is lost";
  log(LogLevel::kWarning, text);
  tell_manager("STATUS=" + text);
}

void Guardian::want_stand_bys() {
  const std::uint64_t now_ns = monotonic_ns();
  for (unsigned slot = 0; slot < kStandBys; ++slot) {
    const bool is_coming = wanted_ns_[slot] != 0 && now_ns - wanted_ns_[slot] < kStandByPatienceNs;
    if (stand_bys_[slot].pid >= 0 || is_coming) continue;
    wanted_ns_[slot] = now_ns;
    raise_event(events_.wanted[slot].get());
  }
}

void Guardian::forget_stand_by(unsigned slot) {
  stand_bys_[slot] = {};
  bulletin_->stand_bys[slot].store({});
}

void Guardian::welcome_stand_by(const Report& report) {
  if (report.slot >= kStandBys) return;
  auto pidfd = open_pidfd(report.pid);
  if (!pidfd) return;  // it is dead again, and its end is found below
  stand_bys_[report.slot] = {report.pid, std::move(*pidfd)};
  wanted_ns_[report.slot] = 0;
  if (const auto process = process_id(report.pid)) {
    bulletin_->stand_bys[report.slot].store(*process);
  }
  if (waits_for_stand_by_) replace_worker();
}

void Guardian::handle_report(const Report& report) {
  switch (report.event) {
    case Event::kReady:
      announce_ready(report);
      break;
    case Event::kStandingBy:
      welcome_stand_by(report);
      break;
    case Event::kTookOver:
      announce_take_over(report);
      break;
    case Event::kNotStandingBy:
      stand_by_error_ = report.error;
      log(LogLevel::kWarning, "a stand-by cannot start: " + report.error.message);
      break;
    case Event::kRefused:
    case Event::kSaid:
      log(report.error.code != 0 ? LogLevel::kWarning : LogLevel::kNotice, report.error.message);
      tell_manager("STATUS=" + report.error.message);
      break;
    case Event::kStopping:
      tell_manager("STOPPING=1");
      is_stopping_ = true;
      deadline_ns_ = monotonic_ns() + kEndTimeoutNs;
      if (!connection_.empty()) let_go();
      break;
    case Event::kStopped:
      has_stopped_ = true;
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
    if (stand_bys_[slot].pid < 0) continue;
    raise_event(events_.go[slot].get());
    worker_ = std::move(stand_bys_[slot]);
    forget_stand_by(slot);
    waits_for_stand_by_ = false;
    takes_over_ = true;
    ++failed_take_overs_;  // until it reports
    deadline_ns_ = monotonic_ns() + kTakeOverTimeoutNs;
    return;
  }
  // Those that are asked for will report.
  waits_for_stand_by_ = true;
  deadline_ns_ = monotonic_ns() + kTakeOverTimeoutNs;
}

std::optional<int> Guardian::tend_processes() {
  // Every child that has ended but the worker, whose status is taken where it is dealt with.
  siginfo_t info{};
  while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0 &&
         info.si_pid != worker_.pid) {
    waitpid(info.si_pid, nullptr, 0);
    info = {};
  }
  for (unsigned slot = 0; slot < kStandBys; ++slot) {
    if (stand_bys_[slot].pid >= 0 && stand_bys_[slot].has_ended()) forget_stand_by(slot);
  }
  if (!lock_ && !is_heir_) take_lock();
  for (const auto& [process, become] : helpers()) {
    if (process->pid >= 0 && process->has_ended()) *process = {};
  }
  // Not while one takes over: to make others takes the processor from what that waits for.
  if (may_replace() && !takes_over_) want_stand_bys();
  // While a worker serves there is time for a fork.
  if (!is_ready_ || is_stopping_ || has_failed_) return std::nullopt;
  if (worker_.pid < 0 || worker_.has_ended() || takes_over_) return std::nullopt;
  for (const auto& [process, become] : helpers()) {
    if (process->pid >= 0) continue;
    // Where it fails there is another time.
    auto made = make(*process, become);
    if (made && *made) return *made;
  }
  return std::nullopt;
}

void Guardian::take_lock() {
  // As soon as the last of the daemon that this one has succeeded is gone.
  if (auto lock = NameLock::take(options_.name, 0)) lock_.emplace(*std::move(lock));
}

void Guardian::check_heartbeat() {
  const std::uint64_t now_ns = monotonic_ns();
  // No more than passes where this process runs itself: when all of the daemon was frozen, or the
  // machine is too busy, the worker is not stuck.
  const std::uint64_t passed_ns = std::min(now_ns - std::exchange(watched_ns_, now_ns), kLookNs);
  if (!is_ready_ || !is_recoverable_ || is_stopping_ || takes_over_ || worker_.pid < 0) return;
  const std::uint64_t last_ns = board_->heartbeat_ns.load(std::memory_order_relaxed);
  if (last_ns == 0 || last_ns != std::exchange(heard_ns_, last_ns)) {
    silent_ns_ = std::min(now_ns - std::min(last_ns, now_ns), passed_ns);
    return;
  }
  silent_ns_ += passed_ns;
  if (silent_ns_ < kHeartbeatLimitNs) return;
  board_->heartbeat_ns.store(0, std::memory_order_relaxed);
  static_cast<void>(send_signal(worker_.pidfd, SIGKILL));
  log(LogLevel::kWarning, std::string("the worker of ") + board_->path + ", process " +
                              std::to_string(worker_.pid) +
                              ", does not run any more and is killed");
}

std::string Guardian::describe_exit(pid_t pid, const siginfo_t& info) const {
  const std::string device = is_ready_ ? options_.name + " (" + board_->path + ")" : options_.name;
  const std::string worker = "the worker of " + device + ", process " + std::to_string(pid) + ", ";
  if (info.si_pid == 0) return worker + "ended";
  if (info.si_code == CLD_EXITED) {
    return worker + "exited with status " + std::to_string(info.si_status);
  }
  const char* const signal_name = sigabbrev_np(info.si_status);
  return worker + "was killed by SIG" + (signal_name != nullptr ? signal_name : "?");
}

int Guardian::take_exit() {
  const siginfo_t info = exit_of(worker_.pidfd);
  if (info.si_pid == 0 ? has_stopped_ : info.si_code == CLD_EXITED && info.si_status == 0) return 0;
  if (!has_failed_) {
    fail(Error{EIO, describe_exit(worker_.pid, info) + "; the pages of the device are lost"});
  }
  return 1;
}

bool Guardian::is_succeeded() {
  if (board_->has_ended || !may_replace()) return false;
  // A worker of this heir's has ended: let the old guardian go on, if there is one.
  const bool has_tried = failed_take_overs_ != 0 || proved_ns_ != 0;
  if (is_heir_ && has_tried && is_alive(board_->guardian.load())) return false;
  if (!takes_over_) died_ns_ = monotonic_ns();
  takes_over_ = false;
  proved_ns_ = 0;
  const Process dead = std::exchange(worker_, {});
  const ProcessId serves = board_->worker.load();
  if (serves.pid != dead.pid && is_alive(serves)) {
    follow(serves);
  } else if (!yields_to_heir()) {
    replace_worker();
  }
  // Whoever takes over is on its way; now there is time.
  log(LogLevel::kWarning, describe_exit(dead.pid, exit_of(dead.pidfd)) + "; " +
                              (dead_worker_.pid != 0 ? "an heir" : "a stand-by") + " takes over");
  return true;
}

void Guardian::follow(const ProcessId& worker) {
  auto pidfd = open_pidfd(worker.pid);
  worker_ = {worker.pid, pidfd ? std::move(*pidfd) : UniqueFd()};
  deadline_ns_ = 0;
  // A stand-by that has no guardian was faster; an heir is there to serve by itself.
  if (is_heir_) static_cast<void>(send_signal(worker_.pidfd, SIGKILL));
}

bool Guardian::yields_to_heir() {
  const ProcessId heir = board_->heir.load();
  if (heir.pid == 0 || is_heir_ || !is_alive(heir)) return false;
  dead_worker_ = board_->worker.load();
  deadline_ns_ = monotonic_ns() + kHeirTimeoutNs;
  return true;
}

void Guardian::watch_heir() {
  if (dead_worker_.pid == 0 || is_alive(board_->heir.load())) return;
  dead_worker_ = {};
  deadline_ns_ = 0;
  died_ns_ = monotonic_ns();
  log(LogLevel::kWarning, "the heir of " + options_.name + " has not made it");
  const ProcessId serves = board_->worker.load();
  if (is_alive(serves)) {
    follow(serves);
  } else {
    replace_worker();
  }
}

bool Guardian::is_inherited() const { return !is_heir_ && board_->guardian.load() != self_; }

int Guardian::leave() {
  const std::string heir = std::to_string(board_->guardian.load().pid);
  tell_manager("MAINPID=" + heir);
  log(LogLevel::kNotice, options_.name + " is handed over to process " + heir);
  bulletin_->is_over = true;
  end_stand_bys();
  end_others();
  return 0;
}

Result<std::optional<int>> Guardian::succeed() {
  if (auto prepared = prepare(); !prepared) return prepared.error();
  const ProcessId last = board_->heir.load();
  if (is_alive(last) || !board_->heir.pass(last, self_)) {
    return Error{EBUSY, "process " + std::to_string(board_->heir.load().pid) +
                            " is about to serve " + options_.name + " already"};
  }
  is_heir_ = true;
  is_ready_ = true;
  is_recoverable_ = true;
  for (const auto& [process, become] : helpers()) {
    auto made = make(*process, become);
    if (!made) {
      give_up();
      return made;
    }
    if (*made) return made;
  }
  if (auto stand = wait_for_stand_bys(); !stand) {
    give_up();
    return stand.error();
  }
  died_ns_ = monotonic_ns();
  const ProcessId worker = board_->worker.load();
  if (is_alive(worker)) {
    follow(worker);
  } else {
    replace_worker();
  }
  return std::optional<int>();
}

Result<void> Guardian::wait_for_stand_bys() {
  want_stand_bys();
  for (const std::uint64_t end_ns = monotonic_ns() + kStartTimeoutNs; monotonic_ns() < end_ns;) {
    if (wait_for_input(channel_.guardian.get(), kWatchMs)) drain_reports();
    if (board_->has_ended) return Error{ENODEV, options_.name + " was removed meanwhile"};
    if (bulletin_->stand_bys_ready() == kStandBys) return {};
    if (!stand_by_error_.message.empty()) return stand_by_error_;
    // One that cannot even report.
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
      drain_reports();
      if (!stand_by_error_.message.empty()) return stand_by_error_;
      return Error{EIO, "a process that was to stand by for " + options_.name + " ended at once"};
    }
  }
  return Error{ETIMEDOUT, "the processes that stand by for " + options_.name + " did not start"};
}

void Guardian::become_guardian() {
  board_->guardian.store(self_);
  board_->heir.store({});
  board_->manager = manager_;
  board_->has_left_service = false;
  is_heir_ = false;
  proved_ns_ = 0;
  Report report;
  report.device.kind = board_->transport;
  report.device.id = board_->device_id;
  report.device.path = board_->path;
  report.reason = board_->reason;
  write_ready_line(std::exchange(options_.ready_fd, -1), options_, report, worker_.pid);
  tell_manager("READY=1\nMAINPID=" + std::to_string(self_.pid));
}

int Guardian::give_up() {
  if (worker_.pid >= 0) {
    fail(Error{EIO, describe_exit(worker_.pid, exit_of(worker_.pidfd)) + "; " + options_.name +
                        " is left to its last daemon"});
  }
  bulletin_->is_over = true;
  end_stand_bys();
  board_->heir.store({});
  end_others();
  return 1;
}

void Guardian::stop_worker() {
  // A worker that has just ended needs no signal; one that just takes over gets it later.
  if (worker_.pid < 0 || takes_over_) return;
  stop_is_wanted_ = false;
  static_cast<void>(send_signal(worker_.pidfd, SIGTERM));
}

void Guardian::kill_late_worker() {
  deadline_ns_ = 0;
  if (dead_worker_.pid != 0) {
    kill(board_->heir.load().pid, SIGKILL);
    return;
  }
  if (!has_failed_ && waits_for_stand_by_) {
    fail(Error{ETIMEDOUT, std::string("no stand-by became ready to serve ") + board_->path +
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
  if (dead_worker_.pid != 0) return kWatchHeirMs;
  int timeout_ms = is_recoverable_ ? kWatchMs : -1;
  const std::uint64_t now_ns = monotonic_ns();
  for (const std::uint64_t at_ns : {deadline_ns_, next_beat_ns_}) {
    if (at_ns == 0) continue;
    const int left_ms = at_ns > now_ns ? static_cast<int>((at_ns - now_ns) / 1'000'000) + 1 : 0;
    timeout_ms = timeout_ms < 0 ? left_ms : std::min(timeout_ms, left_ms);
  }
  return timeout_ms;
}

int Guardian::supervise() {
  // Where these are not allowed the worker says so.
  static_cast<void>(set_io_flusher());
  // Programs wait while this one does when the worker is dead.
  static_cast<void>(set_real_time());
  while (true) {
    if (auto status = tend_processes()) return *status;
    beat();
    std::array<pollfd, 5> entries = {{{signals_.get(), POLLIN, 0},
                                      {worker_.pid >= 0 ? worker_.pidfd.get() : -1, POLLIN, 0},
                                      {channel_.guardian ? channel_.guardian.get() : -1, POLLIN, 0},
                                      {spawner_.pid >= 0 ? spawner_.pidfd.get() : -1, POLLIN, 0},
                                      {logger_.pid >= 0 ? logger_.pidfd.get() : -1, POLLIN, 0}}};
    const int count = poll(entries.data(), entries.size(), poll_timeout_ms());
    if (count < 0) continue;
    // The worker's end before all else: programs wait for their pages.
    if (entries[1].revents != 0 && is_succeeded()) continue;
    if (const int signal = entries[0].revents != 0 ? take_signal(signals_.get()) : 0; signal != 0) {
      // Nobody else would end what has just begun or is about to end.
      if (signal == kLeaveSignal && is_ready_ && !is_stopping_) return leave_service();
      stop_is_wanted_ = true;
    }
    if (entries[2].revents != 0) drain_reports();
    if (entries[1].revents != 0) break;
    if (is_inherited()) return leave();
    watch_heir();
    if (stop_is_wanted_) stop_worker();
    if (deadline_ns_ != 0 && monotonic_ns() >= deadline_ns_) {
      kill_late_worker();
      if (dead_worker_.pid == 0 && (worker_.pid < 0 || !may_replace())) break;
    }
    if (proved_ns_ != 0 && monotonic_ns() >= proved_ns_) become_guardian();
    check_heartbeat();
  }
  return finish();
}

int Guardian::finish() {
  drain_reports();
  // An heir that has not made it leaves everything as it is, for the next one.
  if (is_heir_ && !has_stopped_) return give_up();
  const int status = worker_.pid >= 0 ? take_exit() : 1;
  board_->has_ended = true;
  let_go();
  if (auto cleaned = clean_up_at_end(); !cleaned) {
    log(LogLevel::kError, "cannot remove what is left of " + options_.name + ": " +
                              cleaned.error().message +
                              "; when nothing uses it any more run: pleatd --sweep");
  }
  end_others();
  if (lock_) lock_->remove();
  return status;
}

void Guardian::let_go() {
  bulletin_->is_over = true;
  connection_.clear();
  raise_event(events_.wanted[0].get());  // the spawner ends
  end_stand_bys();
}

Result<void> Guardian::clean_up_at_end() {
  if (!lock_) {
    auto lock = NameLock::take(options_.name, kCleanUpLockMs);
    if (!lock) return lock.error();
    lock_.emplace(*std::move(lock));
  }
  return clean_up(options_.name, *lock_);
}

void Guardian::end_stand_bys() {
  // One that has not reported yet ends by itself, once the channel is closed.
  for (const Process& stand_by : stand_bys_) {
    if (stand_by.pid < 0) continue;
    static_cast<void>(send_signal(stand_by.pidfd, SIGKILL));
    wait_for_exit(stand_by.pidfd, kKillTimeoutMs);
  }
}

void Guardian::end_others() {
  raise_event(events_.wanted[0].get());
  channel_.guardian.reset();
  const std::pair<const Process*, unsigned> others[] = {{&spawner_, kSpawnerEndMs},
                                                        {&logger_, kLoggerEndMs}};
  for (const auto& [process, timeout_ms] : others) {
    if (process->pid < 0 || wait_for_exit(process->pidfd, timeout_ms)) continue;
    static_cast<void>(send_signal(process->pidfd, SIGKILL));
    wait_for_exit(process->pidfd, kKillTimeoutMs);
  }
}

}  // namespace pleat::daemon
