// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/worker.h"

#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/anchor.h"
#include "base/clock.h"
#include "base/process.h"
#include "control/socket.h"
#include "daemon/log.h"
#include "daemon/pidfd.h"
#include "daemon/report.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "daemon/sweep.h"
#include "daemon/write_watch.h"
#include "device/mapping.h"

namespace pleat::daemon {

namespace {

// The worker's threads need some tens of KiB of stack; the default of 8 MiB would count against
// RLIMIT_MEMLOCK in full.
constexpr std::size_t kThreadStackBytes = std::size_t{256} << 10;

// Keeps freed memory in the process: getting it back from the kernel may wait for the very device
// that this process serves.
void keep_heap() {
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  mallopt(M_MMAP_MAX, 0);
}

void set_thread_stack_size() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setstacksize(&attributes, kThreadStackBytes);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

// What a stand-by gives back before it takes over. Linux 6.12 may need a thread of its own for what
// a dead server leaves, and to make one takes memory that else only the device could free.
constexpr std::size_t kSpareBytes = std::size_t{1} << 20;

// How often a stand-by looks whether the device has another size.
constexpr int kFollowMs = 1000;

class Worker {
 public:
  explicit Worker(WorkerSetup setup) : setup_(std::move(setup)) {}

  int run();
  int stand_by(unsigned slot, int go);

 private:
  // What the process asks of the kernel for itself, before the store is mapped.
  Result<Service::Setup> prepare_process();
  Result<void> start();
  void raise_priority();
  // Sees to it that a successor need not wait until this process has given back its memory.
  void drop_anchor();
  // Waits until this process is to take over; false where it is to end.
  bool wait_for_go(int go);
  // Becomes the one who may use the store, if the last one is dead and no other was faster.
  bool take_seat();
  Result<void> start_server();
  // Serves until the device is gone; the exit status.
  int serve();
  int serve_and_end();
  void stop_on_signal();
  void report(Event event, Error error = {}, unsigned slot = 0);
  // Reports an error, and says it where there is no guardian to do so.
  void fail(Event event, const Error& error);
  // Removes what is left, in the guardian's place.
  void clean_up_alone();

  WorkerSetup setup_;  // its reports are open to the end, since the control thread sends too
  ProcessId self_;
  bool guardian_lives_ = true;
  std::unique_ptr<Service> service_;
  std::unique_ptr<control::Server> server_;  // its handler uses the service
};

void Worker::report(Event event, Error error, unsigned slot) {
  if (!guardian_lives_) return;
  Report report;
  report.event = event;
  report.error = std::move(error);
  report.pid = getpid();
  report.slot = slot;
  if (service_) {
    report.device = service_->device();
    report.reason = service_->transport_reason();
  }
  if (!send_report(setup_.reports.get(), report)) guardian_lives_ = false;
}

void Worker::fail(Event event, const Error& error) {
  report(event, error);
  if (!guardian_lives_) log_line(LogLevel::kError, error.message);
}

Result<Service::Setup> Worker::prepare_process() {
  keep_heap();
  set_thread_stack_size();
  // Before the store is mapped, since this faults in what is mapped now (base/process.h).
  if (auto locked = lock_memory(); !locked) return locked.error();
  Service::Setup setup;
  setup.options = setup_.options;
  setup.report_fd = setup_.reports.get();
  setup.board = setup_.board;
  setup.bulletin = setup_.bulletin;
  setup.connection = std::move(setup_.connection);
  // Threads inherit the mark; transport and store set and verify it on theirs all the same.
  if (auto marked = set_io_flusher(); !marked) {
    if (marked.error().code != EPERM) return marked.error();
    setup.io_flusher = false;
    setup.notes.emplace_back("no IO_FLUSHER (the process lacks CAP_SYS_RESOURCE)");
    log_line(LogLevel::kWarning,
             "threads are not marked with PR_SET_IO_FLUSHER, which swap may need when memory is "
             "very short; run as root with CAP_SYS_RESOURCE");
  }
  auto self = process_id(getpid());
  if (!self) return self.error();
  setup.state.name = setup_.options.name;
  setup.state.guardian = setup_.board->guardian.load();
  setup.state.worker = self_ = *self;
  return setup;
}

// Reclaim in a memory cgroup does not wait for writes to swap: it looks a few times whether one has
// ended, and then kills for want of memory. On a busy processor the threads that serve must thus go
// first, and the reserve's with them; between requests they sleep. Not earlier than when all is
// prepared: what a take-over waits for may itself wait for the processor.
void Worker::raise_priority() {
  const auto raised = set_real_time_of_all();
  if (raised) return;
  service_->add_note("normal priority (the process lacks CAP_SYS_NICE)");
  log_line(LogLevel::kWarning, raised.error().message +
                                   "; on a busy machine the kernel may run out of patience with "
                                   "the device and kill for want of memory");
}

void Worker::drop_anchor() {
  // A core dump would write out the stored pages and keep the device's files open meanwhile.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (!service_->device().recoverable) return;
  if (auto made = make_anchor(); !made) {
    log_line(LogLevel::kWarning,
             made.error().message + "; a take-over will wait 100 ms longer for each GiB stored");
  }
}

Result<void> Worker::start_server() {
  auto server = control::Server::start(
      setup_.options.name, [this](const nlohmann::json& request, std::span<const UniqueFd> files) {
        return service_->handle(request, files);
      });
  if (!server) return server.error();
  server_ = std::move(*server);
  // Its thread too; where that is not allowed raise_priority() has said so.
  static_cast<void>(set_real_time_of_all());
  return {};
}

Result<void> Worker::start() {
  auto setup = prepare_process();
  if (!setup) return setup.error();
  auto service = Service::start(*std::move(setup));
  if (!service) return service.error();
  service_ = std::move(*service);
  raise_priority();
  if (auto started = start_server(); !started) {
    static_cast<void>(service_->stop());
    service_.reset();
    return started;
  }
  drop_anchor();
  return {};
}

void Worker::stop_on_signal() {
  const int signal = take_signal(setup_.signals.get());
  if (signal == 0 || signal == kLeaveSignal) return;
  // A stop may take longer than a heartbeat.
  setup_.board->heartbeat_ns = 0;
  if (auto stopped = service_->stop(); !stopped) fail(Event::kRefused, stopped.error());
}

int Worker::serve() {
  WriteWatch writes(setup_.options.name, service_->device().path, service_->store_stats());
  while (true) {
    const std::uint64_t now_ns = monotonic_ns();
    // With a queue that hangs this process is of no use, and the guardian ends it.
    if (!service_->is_stuck()) {
      setup_.board->heartbeat_ns.store(now_ns, std::memory_order_relaxed);
    }
    // By way of the guardian, since a log may lie on the device (bulletin.h).
    if (auto line = writes.look(service_->store_stats(), now_ns)) fail(Event::kSaid, *line);
    // poll() skips a negative descriptor, which stands for a guardian that is gone.
    std::array<pollfd, 4> entries = {{{service_->stopped_fd(), POLLIN, 0},
                                      {service_->ended_fd(), POLLIN, 0},
                                      {setup_.signals.get(), POLLIN, 0},
                                      {guardian_lives_ ? setup_.reports.get() : -1, POLLIN, 0}}};
    if (poll(entries.data(), entries.size(), kHeartbeatMs) <= 0) continue;
    if (entries[0].revents != 0) {
      if (auto stopped = service_->stop(); !stopped) {
        fail(Event::kEnded, stopped.error());
        return 1;
      }
      report(Event::kStopped);
      return 0;
    }
    if (entries[1].revents != 0 && !service_->is_stopped()) {
      fail(Event::kEnded,
           Error{EIO, service_->device().path + " ended by itself: its pages are lost"});
      return 1;
    }
    if (entries[2].revents != 0) stop_on_signal();
    if (entries[3].revents != 0) {
      guardian_lives_ = false;
      log_line(LogLevel::kError, "the guardian of " + setup_.options.name +
                                     " is gone; the device is served on, and pleat remove " +
                                     setup_.options.name + " ends it cleanly");
    }
  }
}

void Worker::clean_up_alone() {
  // No thread of ours is left by now, as clean_up() wants it.
  if (!setup_.lock) {
    auto lock = NameLock::take(setup_.options.name, 0);
    if (!lock) return;
    setup_.lock.emplace(*std::move(lock));
  }
  if (auto cleaned = clean_up(setup_.options.name, *setup_.lock); !cleaned) {
    log_line(LogLevel::kError, cleaned.error().message);
  }
  setup_.lock->remove();
}

int Worker::serve_and_end() {
  const int status = serve();
  setup_.board->has_ended = true;
  server_.reset();
  service_.reset();
  // A guardian that lives removes the rest, and the lock last.
  if (!guardian_lives_) clean_up_alone();
  return status;
}

int Worker::run() {
  if (const auto self = process_id(getpid())) setup_.board->worker.store(*self);
  if (auto started = start(); !started) {
    fail(Event::kFailed, started.error());
    setup_.board->has_ended = true;
    if (!guardian_lives_) clean_up_alone();
    return 1;
  }
  report(Event::kReady);
  return serve_and_end();
}

bool Worker::wait_for_go(int go) {
  UniqueFd worker;  // watched where there is no guardian
  while (true) {
    std::array<pollfd, 3> entries = {{{go, POLLIN, 0},
                                      {guardian_lives_ ? setup_.reports.get() : -1, POLLIN, 0},
                                      {worker ? worker.get() : -1, POLLIN, 0}}};
    // What a change of size takes is made ready now: at a take-over there may be no memory for it.
    static_cast<void>(service_->follow_size());
    const int timeout_ms = guardian_lives_ || worker ? kFollowMs : kHeartbeatMs;
    const int count = poll(entries.data(), entries.size(), timeout_ms);
    if (count < 0) continue;
    std::uint64_t told = 0;
    if (entries[0].revents != 0 && read(go, &told, sizeof(told)) == sizeof(told)) return true;
    if (entries[1].revents != 0) guardian_lives_ = false;
    if (guardian_lives_) continue;
    if (setup_.board->has_ended || setup_.bulletin->is_over) return false;
    if (worker && entries[2].revents != 0) return true;
    // A successor, or the worker that there was when the guardian went.
    if (!worker) {
      auto watched = open_pidfd(setup_.board->worker.load().pid);
      if (!watched) return true;
      worker = *std::move(watched);
    }
  }
}

bool Worker::take_seat() {
  if (setup_.board->has_ended) return false;
  const ProcessId last = setup_.board->worker.load();
  const auto pidfd = open_pidfd(last.pid);
  // One that cannot be watched, for want of memory say, may live.
  if (pidfd ? !wait_for_exit(*pidfd, 0) : pidfd.error().code != ESRCH && is_alive(last))
    return false;
  return setup_.board->worker.pass(last, self_);
}

int Worker::stand_by(unsigned slot, int go) {
  auto setup = prepare_process();
  if (!setup) {
    report(Event::kNotStandingBy, setup.error());
    return 1;
  }
  setup->state.transport = device::to_string(setup_.board->transport);
  setup->state.id = setup_.board->device_id;
  auto service = Service::stand_by(*std::move(setup));
  if (!service) {
    report(Event::kNotStandingBy, service.error());
    return 1;
  }
  service_ = std::move(*service);
  auto spare = device::Mapping::locked(kSpareBytes, "a take-over");
  if (!spare) {
    report(Event::kNotStandingBy, spare.error());
    return 1;
  }
  raise_priority();
  drop_anchor();
  report(Event::kStandingBy, {}, slot);
  do {
    if (!wait_for_go(go)) return 0;
    if (take_seat()) break;
    // Somebody else was faster. A guardian makes others; without one this waits for the next death.
  } while (!guardian_lives_);
  if (setup_.board->worker.load() != self_) return 0;
  spare->give_up();
  setup_.board->heartbeat_ns = 0;  // until serve() beats
  // No page is served before this is done, so nothing that may wait for memory comes before it.
  if (auto taken = service_->take_over(); !taken) {
    log_line(LogLevel::kError, taken.error().message);
    _exit(1);
  }
  report(Event::kTookOver, {}, slot);
  if (!guardian_lives_) {
    log_line(LogLevel::kWarning, service_->device().path + " was taken over by process " +
                                     std::to_string(getpid()) + ", without a guardian");
  }
  if (auto saved = service_->save_successor(); !saved) {
    log_line(LogLevel::kWarning, saved.error().message);
  }
  if (auto started = start_server(); !started) {
    log_line(LogLevel::kWarning,
             "pleat cannot talk to " + setup_.options.name + ": " + started.error().message);
  }
  return serve_and_end();
}

}  // namespace

int run_worker(WorkerSetup setup) { return Worker(std::move(setup)).run(); }

int run_stand_by(WorkerSetup setup, unsigned slot, int go) {
  return Worker(std::move(setup)).stand_by(slot, go);
}

}  // namespace pleat::daemon
