// SPDX-License-Identifier: MIT OR Apache-2.0
// Whether a daemon can be what it is asked to be, before anything is made.
#pragma once

#include "base/result.h"
#include "daemon/options.h"

namespace pleat::daemon {

// EINVAL says which option and what it may be.
Result<void> check_options(const Options& options);

// EPERM for anybody but root.
Result<void> check_root();

// Looks at the writeback device, where there is one: its path becomes absolute, its size is
// written down.
Result<void> resolve_writeback_device(Options& options);

}  // namespace pleat::daemon
