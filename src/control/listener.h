// SPDX-License-Identifier: MIT OR Apache-2.0
// The listening socket of a daemon: made where no living daemon has it, removed at the end.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::control {

class Listener {
 public:
  // EADDRINUSE where a living daemon listens at the address; a dead one's socket is replaced. Two
  // callers at once are safe: a lock file in the runtime directory puts one after the other.
  static Result<Listener> open(const std::string& name);
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&&) = delete;
  // Removes the socket's file, unless another daemon has replaced it.
  ~Listener();

  int fd() const noexcept { return fd_.get(); }

 private:
  Listener(UniqueFd fd, std::string path, ino_t inode);

  UniqueFd fd_;
  std::string path_;
  ino_t inode_;
};

}  // namespace pleat::control
