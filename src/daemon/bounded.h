// SPDX-License-Identifier: MIT OR Apache-2.0
// A task in a child process that is given up when it takes too long: the kernel may hold a process
// that removes a broken device, and nothing may hold a daemon.
#pragma once

#include <functional>

#include "base/result.h"

namespace pleat::daemon {

// Runs `task` in a child and returns its result; ETIMEDOUT, with `what` in the message, after
// timeout_ms: the child is killed then and not waited for. Precondition: one thread in the process.
Result<void> run_bounded(const std::string& what, unsigned timeout_ms,
                         const std::function<Result<void>()>& task);

}  // namespace pleat::daemon
