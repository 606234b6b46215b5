// SPDX-License-Identifier: MIT OR Apache-2.0
#include <iostream>
#include <memory>

#include "commands.h"
#include "tool/create.h"

namespace pleat {
namespace {

struct CreateArguments {
  tool::CreateOptions options;
  tool::SwapOptions swap;
  bool is_swap = false;
  bool discard = false;
  bool no_discard = false;
  std::string size;
  std::string size_max;
  std::string mem_limit;
};

Result<void> run_create(const CreateArguments& arguments) {
  tool::CreateOptions options = arguments.options;
  const Result<std::uint64_t> size = config::evaluate_size(arguments.size);
  if (!size) return size.error();
  options.daemon.size_bytes = *size;
  if (!arguments.size_max.empty()) {
    const Result<std::uint64_t> size_max = config::evaluate_size(arguments.size_max);
    if (!size_max) return size_max.error();
    options.daemon.size_max_bytes = *size_max;
  }
  if (!arguments.mem_limit.empty() && arguments.mem_limit != "0") {
    const Result<std::uint64_t> limit = config::evaluate_size(arguments.mem_limit);
    if (!limit) return limit.error();
    options.daemon.mem_limit_bytes = *limit;
  }
  if (arguments.is_swap) {
    options.swap = arguments.swap;
    options.swap->discard = !arguments.no_discard;
  }
  return tool::create_device(options, tool::System::real(), std::cout, std::cerr);
}

void add_device_options(CLI::App& command, CreateArguments& arguments) {
  tool::DaemonOptions& daemon = arguments.options.daemon;
  command.add_option("NAME", daemon.name, "Name of the device; default: pleat0, pleat1, ...");
  command
      .add_option("-s,--size", arguments.size,
                  "Size of the device: 4G, 512M, ram/2, \"min(ram * 0.5, 8G)\"")
      ->type_name("SIZE")
      ->required()
      ->check(check_size);
  command
      .add_option("--size-max", arguments.size_max,
                  "Largest size that the device may be set to; default: four times the size")
      ->type_name("SIZE")
      ->check(check_size);
  command.add_option("-a,--algorithm", daemon.algorithm, "Codec of written pages, or auto")
      ->type_name("SPEC")
      ->capture_default_str();
  command
      .add_option("--recompress", daemon.recompress,
                  "Codec that pleat recompress tries on stored pages; default: none")
      ->type_name("SPEC");
  command
      .add_option("--writeback-device", daemon.writeback_device,
                  "Block device or file for pleat writeback, whose contents are lost")
      ->type_name("PATH");
  command
      .add_option("-m,--mem-limit", arguments.mem_limit,
                  "Most memory that stored pages may take, as a size; default: no limit")
      ->type_name("SIZE")
      ->check([](const std::string& text) { return text == "0" ? "" : check_size(text); });
  command.add_option("--queues", daemon.queues, "Hardware queues, 1 to 64, a thread each")
      ->type_name("N")
      ->check(CLI::Range(1u, 64u));
  command.add_option("--depth", daemon.depth, "Requests in flight a queue, 1 to 4096")
      ->type_name("N")
      ->check(CLI::Range(1u, 4096u));
  command.add_option("--block-size", daemon.block_bytes, "Logical block size: 512 or 4096")
      ->type_name("BYTES")
      ->check(CLI::IsMember({512u, 4096u}));
  command
      .add_option("--transport", daemon.transport,
                  "How requests reach the daemon: auto, ublk or loop")
      ->type_name("KIND")
      ->check(CLI::IsMember({"auto", "ublk", "loop"}))
      ->capture_default_str();
  command.add_option("--id", daemon.id, "Number of the ublk device: N of /dev/ublkbN")
      ->type_name("N")
      ->check(CLI::Range(0, 1 << 20));
}

void add_swap_options(CLI::App& command, CreateArguments& arguments) {
  CLI::Option* swap = command.add_flag("--swap", arguments.is_swap, "Swap to the device at once");
  command
      .add_option("-p,--priority", arguments.swap.priority,
                  "Priority of the swap, 0 to 32767; higher is used first")
      ->type_name("N")
      ->check(CLI::Range(0, tool::kSwapPriorityMax))
      ->needs(swap)
      ->capture_default_str();
  CLI::Option* discard = command
                             .add_flag("--discard", arguments.discard,
                                       "Free the memory of pages that swap frees (the default)")
                             ->needs(swap);
  command
      .add_flag("--no-discard", arguments.no_discard,
                "Keep the memory of pages that swap frees until they are written anew")
      ->needs(swap)
      ->excludes(discard);
}

}  // namespace

void add_create_command(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<CreateArguments>();
  CLI::App* command = app.add_subcommand("create", "Make a device, and swap to it if asked");
  add_device_options(*command, *arguments);
  add_swap_options(*command, *arguments);
  command->add_flag("--foreground", arguments->options.foreground,
                    "Stay until the device is removed; Ctrl-C removes it");
  command->footer(
      "Prints the path of the device on standard output, all else on standard error.\n\n"
      "Examples:\n"
      "  pleat create --size ram/2 --swap      swap to a device of half the machine's memory\n"
      "  dev=$(pleat create data --size 4G)    a device named data, for a file system\n"
      "  pleat create --size 8G --mem-limit 2G --swap --priority 200");
  command->callback([=] { *action = [arguments] { return run_create(*arguments); }; });
}

}  // namespace pleat
