// SPDX-License-Identifier: MIT OR Apache-2.0
// A process by descriptor (pidfd_open(2), Linux 5.3), which never comes to mean another process.
// By system call, since <sys/pidfd.h> of glibc 2.36 declares its functions as C++.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::daemon {

// ESRCH where there is no such process. Readable once the process has ended.
Result<UniqueFd> open_pidfd(pid_t pid);

// ESRCH where the process has ended.
Result<void> send_signal(const UniqueFd& pidfd, int signal);

// Waits for the process's end, at most timeout_ms. Whether it has ended.
bool wait_for_exit(const UniqueFd& pidfd, unsigned timeout_ms);

// Waits until `fd` has input or its other end is closed, at most timeout_ms. Whether it has or is.
bool wait_for_input(int fd, unsigned timeout_ms);

}  // namespace pleat::daemon
