// SPDX-License-Identifier: MIT OR Apache-2.0
// The claim of a daemon on its name: flock() on /run/pleat/NAME.lock.
//
// The guardian takes it and the worker inherits it, so the name is taken for as long as either
// lives, and free the moment both are gone, however they went.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::daemon {

class NameLock {
 public:
  // EADDRINUSE where a living daemon holds the name for longer than patience_ms (a sweep by another
  // daemon holds it for a moment).
  static Result<NameLock> take(const std::string& name, unsigned patience_ms);

  // Removes the lock's file and lets go of the name; the last act of a daemon.
  void remove();
  // Closes this process's copy of the lock only, for a child that must not hold the name.
  void forget() { file_.reset(); }

 private:
  NameLock(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;
  UniqueFd file_;
};

}  // namespace pleat::daemon
