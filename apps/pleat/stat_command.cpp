// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>

#include "commands.h"
#include "tool/stat_report.h"

namespace pleat {

void add_stat_command(CLI::App& app, Action* action) {
  const auto options = std::make_shared<tool::StatOptions>();
  CLI::App* command = app.add_subcommand("stat", "Show one device in full");
  command->add_option("NAME", options->name, "The device, by name or path")->required();
  CLI::Option* json = command->add_flag("-J,--json", options->json, "Print JSON");
  command->add_flag("--mm-stat", options->mm_stat, "Print the line of zram's mm_stat")
      ->excludes(json);
  command->add_flag("--io-stat", options->io_stat, "Print the line of zram's io_stat")
      ->excludes(json);
  command->add_flag("--bd-stat", options->bd_stat, "Print the line of zram's bd_stat")
      ->excludes(json);
  command->footer(
      "Examples:\n"
      "  pleat stat pleat0\n"
      "  pleat stat pleat0 --mm-stat           nine numbers, in zram's order and units\n"
      "  pleat stat pleat0 --json | jq .write.p99_ns");
  command->callback([=] {
    *action = [options] { return tool::show_stat(*options, tool::System::real(), std::cout); };
  });
}

}  // namespace pleat
