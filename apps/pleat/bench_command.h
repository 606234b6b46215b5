// SPDX-License-Identifier: MIT OR Apache-2.0
// The argument tables of `pleat bench codec` and `pleat bench store`.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "base/result.h"

namespace pleat {

// Adds `bench` with its subcommands. When one of them is given, parsing sets *action to what does
// the work.
void add_bench_command(CLI::App& app, std::function<Result<void>()>* action);

}  // namespace pleat
