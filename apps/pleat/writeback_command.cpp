// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "tool/writeback.h"

namespace pleat {
namespace {

struct WritebackArguments {
  tool::WritebackOptions options;
  std::vector<std::string> ranges;
};

std::string check_page_range(const std::string& text) {
  const auto range = tool::parse_page_range(text);
  return range ? std::string() : range.error().message;
}

}  // namespace

void add_writeback_command(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<WritebackArguments>();
  CLI::App* command =
      app.add_subcommand("writeback", "Move stored pages to the device's writeback device");
  command->add_option("NAME", arguments->options.names, "The devices, by name or path, zram0 too")
      ->type_name("...")
      ->required();
  command
      ->add_option("--type", arguments->options.type,
                   "Which pages: idle, huge, huge_idle or incompressible")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"idle", "huge", "huge_idle", "incompressible"}));
  command
      ->add_option("--pages", arguments->ranges,
                   "Only these pages, N or FIRST-LAST; may be given several times")
      ->type_name("RANGE")
      ->allow_extra_args(false)
      ->check(check_page_range);
  command->add_option("--max-pages", arguments->options.pages_max, "Write so many pages at most")
      ->type_name("N")
      ->check(CLI::PositiveNumber);
  command->footer(
      "The device is one of pleat create --writeback-device; of kernel zram, backing_dev. Pages\n"
      "are written as they are stored, compressed, and stay there when they are read.\n\n"
      "Examples:\n"
      "  pleat idle pleat0 --age 720 && pleat writeback pleat0 --type idle\n"
      "  pleat set pleat0 writeback-limit=1G && pleat writeback pleat0 --type huge");
  command->callback([=] {
    if (arguments->options.type.empty() && arguments->ranges.empty()) {
      throw CLI::RequiredError("--type or --pages");
    }
    for (const std::string& text : arguments->ranges) {
      arguments->options.ranges.push_back(*tool::parse_page_range(text));
    }
    *action = [arguments] {
      return tool::write_devices_back(arguments->options, tool::System::real(), std::cout);
    };
  });
}

}  // namespace pleat
