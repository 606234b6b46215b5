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
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/process.h"
#include "control/socket.h"
#include "daemon/log.h"
#include "daemon/report.h"
#include "daemon/service.h"
#include "daemon/signals.h"
#include "daemon/sweep.h"

namespace pleat::daemon {

namespace {

// The worker's threads need a few KiB of stack; the default of 8 MiB would count against
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

class Worker {
 public:
  Worker(UniqueFd reports, UniqueFd signals, NameLock lock)
      : reports_(std::move(reports)), signals_(std::move(signals)), lock_(std::move(lock)) {}

  int run(const Options& options, const ProcessId& guardian);

 private:
  Result<void> start(const Options& options, const ProcessId& guardian);
  // Serves until the device is gone; the exit status.
  int serve();
  void stop_on_signal();
  void report(Event event, Error error = {});
  // Reports an error, and says it where there is no guardian to do so.
  void fail(Event event, const Error& error);
  // Removes what is left, in the guardian's place.
  void clean_up_alone();

  std::string name_;
  UniqueFd reports_;  // open to the end, since the control thread sends on it too
  bool guardian_lives_ = true;
  UniqueFd signals_;
  NameLock lock_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<control::Server> server_;  // its handler uses the service
};

void Worker::report(Event event, Error error) {
  if (!guardian_lives_) return;
  Report report;
  report.event = event;
  report.error = std::move(error);
  if (service_) {
    report.device = service_->device();
    report.reason = service_->transport_reason();
  }
  if (!send_report(reports_.get(), report)) guardian_lives_ = false;
}

void Worker::fail(Event event, const Error& error) {
  report(event, error);
  if (!guardian_lives_) log_line(LogLevel::kError, error.message);
}

Result<void> Worker::start(const Options& options, const ProcessId& guardian) {
  name_ = options.name;
  keep_heap();
  set_thread_stack_size();
  // Before the store is mapped, since this faults in what is mapped now (base/process.h).
  if (auto locked = lock_memory(); !locked) return locked.error();
  Service::Setup setup;
  setup.options = options;
  setup.report_fd = reports_.get();
  // Threads inherit the mark; transport and store set and verify it on theirs all the same.
  if (auto marked = set_io_flusher(); !marked) {
    if (marked.error().code != EPERM) return marked.error();
    setup.io_flusher = false;
    setup.notes.emplace_back("no IO_FLUSHER (the process lacks CAP_SYS_RESOURCE)");
    log_line(LogLevel::kWarning,
             "threads are not marked with PR_SET_IO_FLUSHER, which swap may need when memory is "
             "very short; run as root with CAP_SYS_RESOURCE");
  }
  // Reclaim in a memory cgroup does not wait for writes to swap: it looks a few times whether one
  // has ended, and then kills for want of memory. On a busy processor the threads that serve must
  // thus go first, and the reserve's with them; between requests they sleep.
  if (auto raised = set_real_time(); !raised) {
    if (raised.error().code != EPERM) return raised.error();
    setup.notes.emplace_back("normal priority (the process lacks CAP_SYS_NICE)");
    log_line(LogLevel::kWarning, raised.error().message +
                                     "; on a busy machine the kernel may run out of patience with "
                                     "the device and kill for want of memory");
  }
  auto self = process_id(getpid());
  if (!self) return self.error();
  setup.state.name = options.name;
  setup.state.guardian = guardian;
  setup.state.worker = *self;
  auto service = Service::start(std::move(setup));
  if (!service) return service.error();
  service_ = std::move(*service);
  auto server = control::Server::start(
      options.name, [this](const nlohmann::json& request) { return service_->handle(request); });
  if (!server) {
    static_cast<void>(service_->stop());
    service_.reset();
    return server.error();
  }
  server_ = std::move(*server);
  // A core dump would write out the stored pages and keep the device's files open meanwhile.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return {};
}

void Worker::stop_on_signal() {
  if (take_signal(signals_.get()) == 0) return;
  if (auto stopped = service_->stop(); !stopped) fail(Event::kRefused, stopped.error());
}

int Worker::serve() {
  while (true) {
    // poll() skips a negative descriptor, which stands for a guardian that is gone.
    std::array<pollfd, 4> entries = {{{service_->stopped_fd(), POLLIN, 0},
                                      {service_->ended_fd(), POLLIN, 0},
                                      {signals_.get(), POLLIN, 0},
                                      {guardian_lives_ ? reports_.get() : -1, POLLIN, 0}}};
    if (poll(entries.data(), entries.size(), -1) < 0) continue;
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
      log_line(LogLevel::kError, "the guardian of " + name_ +
                                     " is gone; the device is served on, and pleat remove " +
                                     name_ + " ends it cleanly");
    }
  }
}

void Worker::clean_up_alone() {
  // No thread of ours is left by now, as clean_up() wants it.
  if (auto cleaned = clean_up(name_, lock_); !cleaned) {
    log_line(LogLevel::kError, cleaned.error().message);
  }
  lock_.remove();
}

int Worker::run(const Options& options, const ProcessId& guardian) {
  int status = 1;
  if (auto started = start(options, guardian); started) {
    report(Event::kReady);
    status = serve();
  } else {
    fail(Event::kFailed, started.error());
  }
  server_.reset();
  service_.reset();
  // A guardian that lives removes the rest, and the lock last.
  if (!guardian_lives_) clean_up_alone();
  return status;
}

}  // namespace

int run_worker(const Options& options, const ProcessId& guardian, UniqueFd reports,
               UniqueFd signals, NameLock lock) {
  return Worker(std::move(reports), std::move(signals), std::move(lock)).run(options, guardian);
}

}  // namespace pleat::daemon
