// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/ublk/module.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace pleat::device::ublk {
namespace {

constexpr int kLoadTimeoutMs = 5000;

// The whole environment of modprobe: its own variables (MODPROBE_OPTIONS) are not the caller's to
// set in a program that runs as root.
char path_variable[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
char* const environment[] = {path_variable, nullptr};

}  // namespace

void load_driver_module() {
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return;
  // What modprobe has to say is in the words of a module loader; our own error says what to do.
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  char program[] = "modprobe";
  char quiet[] = "-q";
  char module[] = "ublk_drv";
  char* const arguments[] = {program, quiet, module, nullptr};
  pid_t child = -1;
  int error = ENOENT;
  for (const char* path : {"/usr/sbin/modprobe", "/sbin/modprobe"}) {
    error = posix_spawn(&child, path, &actions, nullptr, arguments, environment);
    if (error == 0) break;
  }
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return;

  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  pollfd exited{process.get(), POLLIN, 0};
  if (!process || poll(&exited, 1, kLoadTimeoutMs) != 1) kill(child, SIGKILL);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace pleat::device::ublk
