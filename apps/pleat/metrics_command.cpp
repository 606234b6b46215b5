// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>

#include "commands.h"
#include "tool/metrics_report.h"

namespace pleat {

void add_metrics_command(CLI::App& app, Action* action) {
  const auto options = std::make_shared<tool::MetricsOptions>();
  CLI::App* command =
      app.add_subcommand("metrics", "Print statistics for Prometheus, in its text format");
  command->add_option("NAME", options->names, "Only these devices, by name or path")
      ->type_name("...");
  command
      ->add_option("-o,--output", options->output,
                   "File to replace, as a whole; default: standard output")
      ->type_name("FILE");
  command->footer(
      "Exit status 1 says that a device does not answer.\n\n"
      "Examples:\n"
      "  pleat metrics pleat0\n"
      "  pleat metrics --output /var/lib/prometheus/node-exporter/pleat.prom");
  command->callback(
      [=] { *action = [options] { return tool::show_metrics(*options, std::cout); }; });
}

}  // namespace pleat
