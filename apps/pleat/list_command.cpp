// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>

#include "commands.h"
#include "tool/columns.h"
#include "tool/list.h"

namespace pleat {
namespace {

std::string check_columns(const std::string& list) {
  const auto columns = tool::select_columns(list);
  return columns ? std::string() : columns.error().message;
}

}  // namespace

void add_list_command(CLI::App& app, Action* action) {
  const auto options = std::make_shared<tool::ListOptions>();
  CLI::App* command = app.add_subcommand("list", "Show the devices, a line each");
  command->alias("ls");
  command->add_option("NAME", options->names, "Only these devices, by name or path")
      ->type_name("...");
  CLI::Option* output =
      command
          ->add_option("-o,--output", options->output,
                       "Columns to show, with commas between; +LIST adds to the default ones")
          ->type_name("LIST")
          ->check(check_columns);
  command->add_flag("--output-all", options->output_all, "Show all columns")->excludes(output);
  command->add_flag("-b,--bytes", options->bytes, "Sizes in bytes, durations in nanoseconds");
  CLI::Option* raw = command->add_flag("--raw", options->raw, "One space between columns");
  CLI::Option* no_headings =
      command->add_flag("-n,--noheadings", options->no_headings, "Leave the headings out");
  command->add_flag("-J,--json", options->json, "Print JSON, with sizes in bytes")
      ->excludes(raw)
      ->excludes(no_headings);
  command->footer("Exit status 1 says that a device does not answer.\n\n" + tool::columns_help() +
                  "\nExamples:\n"
                  "  pleat list -o +MEM-LIMIT,ZERO-PAGES\n"
                  "  pleat list --raw --noheadings --bytes -o NAME,TOTAL\n"
                  "  pleat list --json | jq '.devices[].comp_ratio'");
  command->callback([=] {
    *action = [options] { return tool::list_devices(*options, tool::System::real(), std::cout); };
  });
}

}  // namespace pleat
