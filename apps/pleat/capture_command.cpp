// SPDX-License-Identifier: MIT OR Apache-2.0
#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "tool/capture.h"

namespace pleat {
namespace {

struct CaptureArguments {
  pid_t pid = 0;
  std::string output;
  std::vector<std::string> command;
  bool no_stop = false;
  tool::CaptureOptions options;
  tool::CommandOptions when;
};

Result<void> run_capture(const CaptureArguments& arguments) {
  if ((arguments.pid != 0) == !arguments.command.empty()) {
    return Error{EINVAL, "give either --pid or a command behind --"};
  }
  tool::CaptureOptions options = arguments.options;
  options.stop = !arguments.no_stop;
  Result<tool::CapturedPages> captured =
      arguments.pid != 0 ? tool::capture_process(arguments.pid, options)
                         : tool::capture_command(arguments.command, arguments.when, options);
  if (!captured) return std::move(captured).error();
  Result<void> written = tool::write_pages(arguments.output, captured->bytes);
  if (!written) return written;
  fmt::print("{} of {} anonymous private pages of process {} ({}) in {}\n", captured->pages(),
             captured->pages_found, captured->pid, captured->command, arguments.output);
  return {};
}

}  // namespace

void add_capture_command(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<CaptureArguments>();
  CLI::App* command = app.add_subcommand(
      "capture", "Write a sample of a process's anonymous private pages to a file");
  command->add_option("--pid", arguments->pid, "Process to capture")
      ->check(CLI::PositiveNumber)
      ->type_name("PID");
  command->add_option("-o,--output", arguments->output, "File to write")
      ->required()
      ->type_name("FILE");
  command->add_option("--max-pages", arguments->options.pages_max, "Pages at most")
      ->check(CLI::Range(1u, 1u << 22))
      ->capture_default_str();
  command->add_option("--seed", arguments->options.seed, "Seed of the sample")
      ->capture_default_str();
  command->add_flag("--groups", arguments->options.groups, "Take aligned groups of 16 KiB");
  command->add_flag("--no-stop", arguments->no_stop,
                    "Let the process run while its memory is read");
  command
      ->add_option("--after", arguments->when.after_seconds,
                   "Capture the command so many seconds after its start and end it; without "
                   "this, at the peak of its memory")
      ->check(CLI::Range(0.001, 86400.0))
      ->type_name("SECONDS");
  command->add_option("command", arguments->command, "Command to run, behind --")
      ->type_name("COMMAND...");
  command->callback([=] { *action = [arguments] { return run_capture(*arguments); }; });
}

}  // namespace pleat
