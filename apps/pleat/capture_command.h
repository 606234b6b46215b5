// SPDX-License-Identifier: MIT OR Apache-2.0
// The argument table of `pleat capture`.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "base/result.h"

namespace pleat {

// Adds `capture`. When it is given, parsing sets *action to what does the work.
void add_capture_command(CLI::App& app, std::function<Result<void>()>* action);

}  // namespace pleat
