// SPDX-License-Identifier: MIT OR Apache-2.0
// Ctrl-C and kill while something is half made: held back, so that it can be undone first.
#pragma once

#include <csignal>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::tool {

// While it lives, SIGINT, SIGTERM, SIGHUP and SIGCHLD of the calling thread go to fd() instead. One
// that is pending and unread at the end then acts as it would have.
class Interruption {
 public:
  static Result<Interruption> watch();
  Interruption(Interruption&& other) noexcept;
  Interruption& operator=(Interruption&&) = delete;
  ~Interruption();

  // Readable when a signal has come.
  int fd() const noexcept { return fd_.get(); }
  // Takes what has come; whether one of SIGINT, SIGTERM and SIGHUP was there, now or before.
  bool interrupted();
  // Forgets that one was there, where the user may ask again.
  void reset() noexcept { interrupted_ = false; }

 private:
  Interruption(UniqueFd fd, const sigset_t& before);

  UniqueFd fd_;
  sigset_t before_;
  bool interrupted_ = false;
};

}  // namespace pleat::tool
