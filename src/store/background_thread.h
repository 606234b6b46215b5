// SPDX-License-Identifier: MIT OR Apache-2.0
// The start of the store's background threads.
#pragma once

#include <functional>
#include <thread>

#include "base/result.h"

namespace pleat::store {

// Starts a thread that takes no signals and runs `run`, and returns once it does. `name` has at
// most 15 characters. EPERM where `io_flusher` is asked for and cannot be set, EAGAIN.
Result<std::thread> start_background_thread(const char* name, bool io_flusher,
                                            std::function<void()> run);

}  // namespace pleat::store
