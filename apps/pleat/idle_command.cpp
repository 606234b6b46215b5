// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>

#include "commands.h"
#include "tool/idle.h"

namespace pleat {
namespace {

struct IdleArguments {
  tool::IdleOptions options;
  bool all = false;
};

}  // namespace

void add_idle_command(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<IdleArguments>();
  tool::IdleOptions& options = arguments->options;
  CLI::App* command = app.add_subcommand("idle", "Mark pages that nobody has used for a while");
  command->add_option("NAME", options.names, "The devices, by name or path, zram0 too")
      ->type_name("...")
      ->required();
  CLI::Option* all =
      command->add_flag("--all", arguments->all, "All pages; those used from now on are not idle");
  command
      ->add_option("--age", options.age_seconds,
                   "Those that were not read or written for so many seconds")
      ->type_name("SECONDS")
      ->excludes(all);
  command->footer(
      "A page stays idle until it is read or written. Ages of Pleat's devices are told apart at\n"
      "60, 720, 8640 and 103680 seconds (28.8 h), the largest; others are rounded up.\n\n"
      "Examples:\n"
      "  pleat idle pleat0 --all\n"
      "  pleat idle pleat0 --age 720");
  command->callback([=] {
    if (!arguments->all && !arguments->options.age_seconds) {
      throw CLI::RequiredError("--all or --age");
    }
    *action = [arguments] {
      return tool::mark_idle(arguments->options, tool::System::real(), std::cout);
    };
  });
}

}  // namespace pleat
