// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/interruption.h"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

namespace pleat::tool {

Interruption::Interruption(UniqueFd fd, const sigset_t& before)
    : fd_(std::move(fd)), before_(before) {}

Interruption::Interruption(Interruption&& other) noexcept
    : fd_(std::move(other.fd_)), before_(other.before_), interrupted_(other.interrupted_) {}

Interruption::~Interruption() {
  if (fd_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

Result<Interruption> Interruption::watch() {
  sigset_t watched;
  sigemptyset(&watched);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&watched, signal);
  UniqueFd fd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return errno_error("cannot watch for signals");
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &watched, &before);
  return Interruption(std::move(fd), before);
}

bool Interruption::interrupted() {
  signalfd_siginfo info{};
  while (read(fd_.get(), &info, sizeof(info)) == sizeof(info)) {
    if (info.ssi_signo != SIGCHLD) interrupted_ = true;
  }
  return interrupted_;
}

}  // namespace pleat::tool
