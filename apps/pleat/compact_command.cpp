// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "tool/compact.h"

namespace pleat {

void add_compact_command(CLI::App& app, Action* action) {
  const auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* command =
      app.add_subcommand("compact", "Free memory between stored pages, also of kernel zram");
  command->add_option("NAME", *names, "The devices, by name or path, zram0 too")
      ->type_name("...")
      ->required();
  command->footer(
      "Pleat's devices do most of it by themselves in the background.\n\n"
      "Examples:\n"
      "  pleat compact pleat0\n"
      "  pleat compact /dev/zram0");
  command->callback([=] {
    *action = [names] { return tool::compact_devices(*names, tool::System::real(), std::cout); };
  });
}

}  // namespace pleat
