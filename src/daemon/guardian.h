// SPDX-License-Identifier: MIT OR Apache-2.0
// The guardian: a daemon's main process. It makes the others and waits; when the worker is gone it
// lets a stand-by take over, and where nobody can it removes what is left of the device.
//
// It has one thread and serves nothing, so that nothing a worker runs into can happen to it. When
// it dies itself its spawner takes its place. A guardian of another program can succeed it while it
// lives (an upgrade): it makes its own stand-bys, writes itself down as the heir, and kills the
// worker; its stand-by takes over, and once that has served for a while the old guardian leaves.
// Where the heir dies or gives up before that, the old guardian goes on with a stand-by of its own.
//
// Thread safety: none; one thread.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/notify.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/board.h"
#include "daemon/bulletin.h"
#include "daemon/log.h"
#include "daemon/name_lock.h"
#include "daemon/options.h"
#include "daemon/report.h"
#include "daemon/spawner.h"
#include "daemon/worker.h"

namespace pleat::daemon {

class Guardian {
 public:
  // `lock` is missing where another daemon of the name lives. `connection` is that of a loop device
  // whose worker can be succeeded, else empty.
  Guardian(Options options, UniqueFd signals, Board* board, std::optional<NameLock> lock,
           const ServiceManager& manager, device::LoopConnection connection);

  // Makes a new device's processes, and in them becomes one of these or a stand-by: a value is the
  // exit status of that process, none means that this is the guardian.
  Result<std::optional<int>> start();
  // Takes the place of the device's daemon, dead or living, up to the moment when its worker is
  // dead. The value as above.
  Result<std::optional<int>> succeed();
  // Removes what a start() that failed has written.
  void undo();
  // Waits until the worker is gone for good and removes what is left; the exit status.
  int supervise();

 private:
  // Everything of one other process, which need not be a child of this one.
  struct Process {
    pid_t pid = -1;
    UniqueFd pidfd;

    bool has_ended() const;
  };

  Result<void> prepare();
  // Makes a process that runs `become` and exits with its result; the value as above.
  Result<std::optional<int>> make(Process& process, int (Guardian::*become)());
  struct Helper {
    Process* process;
    int (Guardian::*become)();
  };
  std::array<Helper, 2> helpers();
  int become_worker();
  int become_logger();
  int become_spawner();
  // A child gives up what is the guardian's alone.
  void leave_session();
  WorkerSetup worker_setup();
  // The spawner goes on as the guardian, in the place of one that has died.
  int take_place();

  void handle_report(const Report& report);
  void drain_reports();
  void announce_ready(const Report& report);
  void announce_take_over(const Report& report);
  void welcome_stand_by(const Report& report);
  // Asks for those that there are not.
  void want_stand_bys();
  void forget_stand_by(unsigned slot);
  // Looks after stand-bys, spawner and logger. A value is the exit status of a process made here.
  std::optional<int> tend_processes();
  // A stand-by goes in the dead worker's place, at once or when it is ready.
  void replace_worker();
  // Deals with the worker's end; whether another takes its place.
  bool is_succeeded();
  void stop_worker();
  bool may_replace() const;
  // Kills a worker that has not said for too long that it runs.
  void check_heartbeat();
  // Tells the service manager, unless it has no service here any more.
  void tell_manager(const std::string& message);
  // Says that this guardian runs, as often as the manager wants.
  void beat();
  // Ends, and leaves the device to the other processes and to the manager's next start; the exit
  // status.
  int leave_service();

  // Looks after a worker that this guardian has not made.
  void follow(const ProcessId& worker);
  // As the old guardian: whether an heir is to replace the worker, which is dead.
  bool yields_to_heir();
  // Goes on where the heir has not made it.
  void watch_heir();
  // Whether the heir has made it, and this guardian is to leave.
  bool is_inherited() const;
  int leave();
  // As the heir.
  Result<void> wait_for_stand_bys();
  // The new worker has served long enough to be relied upon.
  void become_guardian();
  int give_up();

  int poll_timeout_ms() const;
  // The exit status of a worker that has ended, with a line for every end but a clean one.
  int take_exit();
  std::string describe_exit(pid_t pid, const siginfo_t& info) const;
  // A line for people, by way of the logger (bulletin.h says why), once there is one.
  void log(LogLevel level, const std::string& text);
  void fail(const Error& error);
  // Kills a worker that is past its time, and says what it was at.
  void kill_late_worker();
  int finish();
  // Nobody is to serve the device any more: what it has in flight fails with its last server.
  void let_go();
  Result<void> clean_up_at_end();
  void take_lock();
  void end_stand_bys();
  // The spawner and the logger.
  void end_others();

  Options options_;
  UniqueFd signals_;
  Board* board_;
  std::optional<NameLock> lock_;
  ServiceManager manager_;
  device::LoopConnection connection_;
  std::uint64_t next_beat_ns_ = 0;
  Bulletin* bulletin_ = nullptr;
  ReportChannel channel_;
  StandByEvents events_;
  ProcessId self_;
  Process spawner_;
  Process logger_;
  Process worker_;
  std::array<Process, kStandBys> stand_bys_;
  std::array<std::uint64_t, kStandBys> wanted_ns_{};  // when it was asked for; 0 = it was not
  bool is_ready_ = false;
  bool is_recoverable_ = false;
  bool is_stopping_ = false;
  bool has_stopped_ = false;  // the worker has said that the device is gone
  bool stop_is_wanted_ = false;
  bool waits_for_stand_by_ = false;  // the worker is dead, and no stand-by was ready
  bool takes_over_ = false;          // a stand-by was told to go and does not serve yet
  unsigned failed_take_overs_ = 0;
  bool has_failed_ = false;        // and the line about it is out
  std::uint64_t deadline_ns_ = 0;  // by which the worker must have taken its next step; 0 = none
  std::uint64_t died_ns_ = 0;      // when the last worker was found dead
  std::uint64_t watched_ns_ = 0;   // when the heartbeat was last looked at
  std::uint64_t heard_ns_ = 0;     // what it was
  std::uint64_t silent_ns_ = 0;    // for how long it has been that
  ProcessId dead_worker_;          // whom the heir that this guardian waits for succeeds
  Error stand_by_error_;           // of one that could not start
  bool is_heir_ = false;           // another guardian has the seat, if it lives
  std::uint64_t proved_ns_ = 0;    // as the heir: when the new worker may be relied upon; 0 = none
};

}  // namespace pleat::daemon
