// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>

#include "commands.h"
#include "tool/upgrade.h"

namespace pleat {

void add_upgrade_command(CLI::App& app, Action* action) {
  const auto options = std::make_shared<tool::UpgradeOptions>();
  CLI::App* command =
      app.add_subcommand("upgrade", "Serve devices by new processes, without losing a page");
  command->alias("recover");
  CLI::Option* names =
      command->add_option("NAME", options->names, "The devices, by name or path")->type_name("...");
  CLI::Option* all = command->add_flag("--all", options->all, "All devices");
  names->excludes(all);
  command->footer(
      "The pleatd that is installed now takes the place of the processes that serve a\n"
      "device, while it is in use. Where these are dead, their pages are taken up again.\n"
      "Where the new pleatd does not come up the old one goes on. Over ublk only.\n\n"
      "Examples:\n"
      "  pleat upgrade --all        after a new version was installed\n"
      "  pleat recover pleat0       after all of a device's processes have died");
  command->callback([=] {
    if (options->names.empty() && !options->all) {
      throw CLI::RequiredError("NAME or --all");
    }
    *action = [options] { return tool::upgrade_devices(*options, std::cerr); };
  });
}

}  // namespace pleat
