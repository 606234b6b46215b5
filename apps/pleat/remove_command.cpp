// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>

#include "commands.h"
#include "tool/remove.h"

namespace pleat {

void add_remove_command(CLI::App& app, Action* action) {
  const auto options = std::make_shared<tool::RemoveOptions>();
  CLI::App* command = app.add_subcommand("remove", "Remove devices that nothing uses");
  command->alias("rm");
  CLI::Option* names =
      command->add_option("NAME", options->names, "The devices, by name or path")->type_name("...");
  CLI::Option* all = command->add_flag("--all", options->all, "Remove all devices");
  names->excludes(all);
  command->add_flag("--swapoff", options->swap_off,
                    "Take the devices out of swap first; their pages must fit in memory");
  command->footer(
      "A device in use is kept, and what uses it is said.\n\n"
      "Examples:\n"
      "  pleat remove pleat0 --swapoff\n"
      "  pleat remove --all --swapoff");
  command->callback([=] {
    if (options->names.empty() && !options->all) {
      throw CLI::RequiredError("NAME or --all");
    }
    *action = [options] { return tool::remove_devices(*options, tool::System::real(), std::cerr); };
  });
}

}  // namespace pleat
