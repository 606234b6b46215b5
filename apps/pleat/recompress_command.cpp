// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>

#include "commands.h"
#include "tool/recompress.h"

namespace pleat {

void add_recompress_command(CLI::App& app, Action* action) {
  const auto options = std::make_shared<tool::RecompressOptions>();
  CLI::App* command =
      app.add_subcommand("recompress", "Compress stored pages anew with a slower codec");
  command->add_option("NAME", options->names, "The devices, by name or path, zram0 too")
      ->type_name("...")
      ->required();
  command->add_option("--type", options->type, "Which pages: idle, huge or huge_idle; default: all")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"idle", "huge", "huge_idle"}));
  command
      ->add_option("--threshold", options->threshold_bytes,
                   "Only pages of which at least so many bytes are stored")
      ->type_name("BYTES");
  command->add_option("--max-pages", options->pages_max, "Try so many pages at most")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("-a,--algorithm", options->algorithm,
                   "Codec to use; of a Pleat device the one of pleat create --recompress")
      ->type_name("SPEC");
  command
      ->add_option_function<std::uint32_t>(
          "--gpu", [options](std::uint32_t device) { options->gpu = {.device = device}; },
          "Compress on this GPU, by its number, instead of in the daemon, which checks what comes "
          "back; the device's codec is to be line or lz4")
      ->type_name("NUMBER");
  command->footer(
      "A page that does not become smaller stays, and is not tried again until it is written.\n\n"
      "Examples:\n"
      "  pleat idle pleat0 --age 720 && pleat recompress pleat0 --type idle\n"
      "  pleat recompress zram0 --type huge --algorithm zstd\n"
      "  pleat recompress pleat0 --gpu 0");
  command->callback([=] {
    *action = [options] {
      return tool::recompress_devices(*options, tool::System::real(), std::cout);
    };
  });
}

}  // namespace pleat
