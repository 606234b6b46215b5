// SPDX-License-Identifier: MIT OR Apache-2.0
#include <memory>

#include "commands.h"
#include "tool/attributes.h"

namespace pleat {
namespace {

struct SetArguments {
  std::string name;
  std::string size;
  std::vector<std::string> assignments;
};

std::string check_assignment(const std::string& text) {
  const auto assignment = tool::parse_assignment(text);
  return assignment ? std::string() : assignment.error().message;
}

Result<void> run_set(const SetArguments& arguments) {
  std::vector<tool::Assignment> assignments;
  if (!arguments.size.empty()) {
    const Result<std::uint64_t> size = config::evaluate_size(arguments.size);
    if (!size) return size.error();
    assignments.push_back({"size", *size});
  }
  for (const std::string& text : arguments.assignments) {
    const Result<tool::Assignment> assignment = tool::parse_assignment(text);
    if (!assignment) return assignment.error();
    assignments.push_back(*assignment);
  }
  return tool::set_attributes(arguments.name, assignments);
}

}  // namespace

void add_set_command(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<SetArguments>();
  CLI::App* command = app.add_subcommand("set", "Change a device while it is in use");
  command->add_option("NAME", arguments->name, "The device, by name or path")->required();
  command->add_option("KEY=VALUE", arguments->assignments, "What to change")
      ->type_name("...")
      ->check(check_assignment);
  command
      ->add_option("-s,--size", arguments->size,
                   "New size of the device; smaller only where nothing uses it or is stored beyond")
      ->type_name("SIZE")
      ->check(check_size);
  command->footer(
      "Keys:\n"
      "  mem-limit=SIZE     most memory that stored pages may take; 0 = no limit\n"
      "  mem-used-max=0     makes the recorded peak the current use\n"
      "  writeback-limit=SIZE  pleat writeback may write so much from now on; none = no limit\n\n"
      "A limit below what is stored frees nothing: writes fail until enough is discarded.\n"
      "A ublk device can be resized from Linux 6.16 on, a loop device on all; not while it is "
      "swap.\n\n"
      "Examples:\n"
      "  pleat set pleat0 mem-limit=ram/4\n"
      "  pleat set data --size 8G && resize2fs /dev/ublkb0");
  command->callback([=] {
    if (arguments->assignments.empty() && arguments->size.empty()) {
      throw CLI::RequiredError("--size or KEY=VALUE");
    }
    *action = [arguments] { return run_set(*arguments); };
  });
}

}  // namespace pleat
