// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/name_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "control/socket.h"

namespace pleat::daemon {

namespace {

constexpr long kLockRetryNs = 10'000'000;

// Whether `path` still names the file that `file` is open on: its last owner may have removed it
// between our open() and our flock().
bool is_same_file(const UniqueFd& file, const std::string& path) {
  struct stat open_file {};
  struct stat named_file {};
  return fstat(file.get(), &open_file) == 0 && stat(path.c_str(), &named_file) == 0 &&
         open_file.st_dev == named_file.st_dev && open_file.st_ino == named_file.st_ino;
}

}  // namespace

Result<NameLock> NameLock::take(const std::string& name, unsigned patience_ms) {
  const std::string path = control::runtime_directory() + "/" + name + ".lock";
  const std::uint64_t deadline_ns = monotonic_ns() + std::uint64_t{patience_ms} * 1'000'000;
  while (true) {
    UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return errno_error("cannot open " + path);
    if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) {
      if (is_same_file(file, path)) return NameLock(path, std::move(file));
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return errno_error("cannot lock " + path);
    if (monotonic_ns() >= deadline_ns) {
      return Error{EADDRINUSE, "a device named " + name +
                                   " is there already; choose another name, or run: pleat remove " +
                                   name};
    }
    const timespec pause{0, kLockRetryNs};
    nanosleep(&pause, nullptr);
  }
}

void NameLock::remove() {
  if (!file_) return;
  unlink(path_.c_str());
  file_.reset();
}

}  // namespace pleat::daemon
