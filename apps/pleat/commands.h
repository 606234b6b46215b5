// SPDX-License-Identifier: MIT OR Apache-2.0
// The subcommands of pleat: one argument table a file, and in each nothing but that table.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "base/result.h"
#include "config/size_expression.h"

namespace pleat {

// What the command line asks for, set by parsing it.
using Action = std::function<Result<void>()>;

void add_create_command(CLI::App& app, Action* action);
void add_list_command(CLI::App& app, Action* action);
void add_stat_command(CLI::App& app, Action* action);
void add_metrics_command(CLI::App& app, Action* action);
void add_set_command(CLI::App& app, Action* action);
void add_compact_command(CLI::App& app, Action* action);
void add_idle_command(CLI::App& app, Action* action);
void add_recompress_command(CLI::App& app, Action* action);
void add_writeback_command(CLI::App& app, Action* action);
void add_remove_command(CLI::App& app, Action* action);
void add_upgrade_command(CLI::App& app, Action* action);
void add_bench_command(CLI::App& app, Action* action);
void add_capture_command(CLI::App& app, Action* action);
void add_gpu_command(CLI::App& app, Action* action);
void add_train_command(CLI::App& app, Action* action);

// Checks a size expression while the command line is parsed, so that a wrong one is a usage error.
inline std::string check_size(const std::string& text) {
  const Result<std::uint64_t> bytes = config::evaluate_size(text);
  return bytes ? std::string() : bytes.error().message;
}

}  // namespace pleat
