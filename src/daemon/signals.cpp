// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace pleat::daemon {

Result<UniqueFd> open_stop_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int signal : {SIGTERM, SIGINT, kLeaveSignal}) sigaddset(&mask, signal);
  if (sigprocmask(SIG_BLOCK, &mask, nullptr) != 0) return errno_error("cannot block signals");
  for (const int ignored : {SIGHUP, SIGPIPE, SIGTTOU}) signal(ignored, SIG_IGN);
  // Inherited as ignored it would take away the exit status that the guardian waits for.
  signal(SIGCHLD, SIG_DFL);
  UniqueFd signals(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return errno_error("cannot make a signalfd");
  return signals;
}

int take_signal(int signals) {
  signalfd_siginfo info{};
  if (read(signals, &info, sizeof(info)) != sizeof(info)) return 0;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace pleat::daemon
