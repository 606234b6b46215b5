// SPDX-License-Identifier: MIT OR Apache-2.0
#include "control/listener.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "control/deadline.h"
#include "control/paths.h"
#include "control/socket.h"

namespace pleat::control {
namespace {

constexpr int kBacklog = 64;
constexpr unsigned kLockTimeout_ms = 5000;

// Held while a socket is made or removed. The file is root's alone, so nobody else can hold it.
Result<UniqueFd> lock_directory() {
  const std::string path = runtime_directory() + "/.lock";
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return errno_error("cannot open " + path);
  const Deadline deadline(kLockTimeout_ms);
  while (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return errno_error("cannot lock " + path);
    if (deadline.passed()) return errno_error(ETIMEDOUT, "cannot lock " + path);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return file;
}

// Whether somebody accepts connections at the address. A full queue of connections counts as life.
bool is_alive(const sockaddr_un& address) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return true;
  }
  return errno == EAGAIN;
}

}  // namespace

Listener::Listener(UniqueFd fd, std::string path, ino_t inode)
    : fd_(std::move(fd)), path_(std::move(path)), inode_(inode) {}

Result<Listener> Listener::open(const std::string& name) {
  const Result<sockaddr_un> address = socket_address(name);
  if (!address) return address.error();
  if (Result<void> made = make_runtime_directory(); !made) return made.error();
  const Result<UniqueFd> lock = lock_directory();
  if (!lock) return lock.error();

  const std::string path = socket_path(name);
  if (is_alive(*address)) {
    return Error{EADDRINUSE, "a device named " + name + " is there already; see pleat list"};
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return errno_error("cannot replace " + path);

  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno_error("cannot make a socket");
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    return errno_error("cannot make " + path);
  }
  // From here on the file is there, and goes again with the listener where a step fails. Nobody can
  // connect before listen(), so the mode is right before the first one does.
  struct stat made {};
  const bool known = stat(path.c_str(), &made) == 0;
  Listener listener(std::move(fd), path, made.st_ino);
  if (!known || chmod(path.c_str(), 0600) != 0 || listen(listener.fd(), kBacklog) != 0) {
    const Error error = errno_error("cannot listen at " + path);
    unlink(path.c_str());
    listener.fd_.reset();
    return error;
  }
  return listener;
}

Listener::~Listener() {
  if (!fd_) return;
  // Where the lock cannot be had, the file stays and the next daemon of this name replaces it.
  const Result<UniqueFd> lock = lock_directory();
  if (!lock) return;
  struct stat there {};
  if (stat(path_.c_str(), &there) == 0 && there.st_ino == inode_) unlink(path_.c_str());
}

}  // namespace pleat::control
