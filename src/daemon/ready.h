// SPDX-License-Identifier: MIT OR Apache-2.0
// The line that whoever started a daemon waits for, on a descriptor it passed down.
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "daemon/options.h"
#include "daemon/report.h"

namespace pleat::daemon {

// {"ok":true,"name":...,"path":...,"transport":...,"reason":...,"id":...,"pid":...,"worker":...},
// then the descriptor is closed. Nothing for -1.
void write_ready_line(int fd, const Options& options, const Report& report, pid_t worker);

// {"ok":false,"code":...,"error":...}, then the descriptor is closed. Nothing for -1.
void write_failed_line(int fd, const Error& error);

}  // namespace pleat::daemon
