// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/stopped_process.h"

#include <fmt/format.h>
#include <signal.h>
#include <time.h>

#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "tool/process_memory.h"

namespace pleat::tool {
namespace {

constexpr std::uint64_t kStopTimeoutNs = 2'000'000'000;
constexpr timespec kPoll = {0, 1'000'000};

bool stands_still(char state) { return state == 'T' || state == 't'; }

}  // namespace

StoppedProcess::StoppedProcess(StoppedProcess&& other) noexcept
    : signals_(std::move(other.signals_)),
      pid_(std::exchange(other.pid_, 0)),
      resume_(other.resume_) {}

StoppedProcess::~StoppedProcess() {
  if (pid_ != 0 && resume_) ::kill(pid_, SIGCONT);
}

Result<StoppedProcess> StoppedProcess::stop(pid_t pid) {
  Result<ProcessStat> before = read_process_stat(pid);
  if (!before) return std::move(before).error();
  StoppedProcess stopped(pid);
  if (stands_still(before->state)) return stopped;
  if (::kill(pid, SIGSTOP) != 0) return errno_error(fmt::format("cannot stop process {}", pid));
  stopped.resume_ = true;
  const std::uint64_t deadline = monotonic_ns() + kStopTimeoutNs;
  while (true) {
    Result<ProcessStat> now = read_process_stat(pid);
    if (!now) return std::move(now).error();
    if (stands_still(now->state)) return stopped;
    if (now->state == 'Z') return errno_error(ESRCH, fmt::format("process {} has ended", pid));
    if (monotonic_ns() > deadline) {
      return Error{ETIMEDOUT, fmt::format("process {} does not stop; try --no-stop", pid)};
    }
    ::nanosleep(&kPoll, nullptr);
  }
}

}  // namespace pleat::tool
