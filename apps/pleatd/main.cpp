// SPDX-License-Identifier: MIT OR Apache-2.0
// pleatd: its argument table, and nothing else; the daemon is src/daemon.
#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>

#include "base/units.h"
#include "config/size_expression.h"
#include "daemon/options.h"
#include "daemon/start.h"

namespace {

constexpr int kUsageStatus = 2;

struct Arguments {
  pleat::daemon::Options options;
  bool sweep = false;
  bool lose_pages = false;
  std::string succeed;  // name of the device
};

// Sizes are in bytes or with a unit, as they are, or expressions of config/size_expression.h, which
// are rounded to pages.
void add_size(CLI::App& app, const std::string& flag, std::uint64_t& value,
              const std::string& description) {
  app.add_option_function<std::string>(
         flag,
         [&value, flag](const std::string& text) {
           auto size = pleat::parse_size(text);
           if (!size) size = pleat::config::evaluate_size(text);
           if (!size) throw CLI::ValidationError(flag, size.error().message);
           value = *size;
         },
         description)
      ->type_name("SIZE");
}

void add_arguments(CLI::App& app, Arguments& arguments) {
  pleat::daemon::Options& options = arguments.options;
  auto* const sweep =
      app.add_flag("--sweep", arguments.sweep,
                   "Remove what dead daemons left, but pages that are in use, and exit");
  app.add_flag("--lose-pages", arguments.lose_pages, "With --sweep: pages that are in use too")
      ->needs(sweep);
  auto* const succeed =
      app.add_option("--succeed", arguments.succeed,
                     "Take the place of the daemon, living or dead, of the device of this name");
  auto* const name = app.add_option("--name", options.name, "Name of the device");
  add_size(app, "--size", options.size_bytes, "Size of the device, such as 4G or ram/2");
  add_size(app, "--size-max", options.size_max_bytes,
           "Largest size that the device may be set to; 0, the default, is four times --size");
  app.add_option("--algorithm", options.algorithm, "Codec of the pages, or auto")
      ->capture_default_str();
  app.add_option("--recompress", options.recompress,
                 "Codec that pleat recompress tries on stored pages; default: none");
  app.add_option(
      "--writeback-device", options.writeback_device,
      "Block device or file for pleat writeback, whose contents are lost; default: none");
  add_size(app, "--mem-limit", options.mem_limit_bytes,
           "Most memory for stored pages; 0, the default, is no limit");
  app.add_option("--queues", options.queues,
                 "Queues, a thread each; 0, the default, is one a processor, at most 4");
  app.add_option("--depth", options.depth, "Requests in flight a queue")->capture_default_str();
  app.add_option("--block-size", options.block_bytes, "Logical block size, 512 or 4096")
      ->capture_default_str();
  app.add_option("--transport", options.transport, "auto, ublk or loop")
      ->check(CLI::IsMember({"auto", "ublk", "loop"}))
      ->capture_default_str();
  app.add_option("--id", options.id,
                 "Number of the device; -1, the default, is the first free one");
  auto* const take_up = app.add_flag("--take-up", options.take_up,
                                     "Serve the device of this name on where it is there already");
  auto* const ready =
      app.add_option("--ready-fd", options.ready_fd,
                     "Descriptor for one line of JSON when the device is ready or has failed");
  sweep->excludes(name);
  succeed->excludes(name)->excludes(sweep);
  take_up->needs(name)->excludes(ready);
  app.set_version_flag("--version", "pleatd " PLEAT_VERSION);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Serves one compressed block device in memory; see pleatd(8)", "pleatd"};
  add_arguments(app, arguments);
  try {
    app.parse(argc, argv);
    const bool is_other = arguments.sweep || app.count("--succeed") != 0;
    if (!is_other && (app.count("--name") == 0 || app.count("--size") == 0)) {
      throw CLI::RequiredError("--name and --size, or --succeed, or --sweep,");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageStatus;
  }
  using namespace pleat::daemon;
  if (arguments.sweep) return run_sweep(arguments.lose_pages ? SweepOf::kAll : SweepOf::kUnused);
  // All processes of the daemon show this name. With "@" for a first letter they are spared when
  // all others are killed at the end of a shutdown and in a soft-reboot
  // (systemd.io/ROOT_STORAGE_DAEMONS): swapoff, and programs that do not end, need their pages.
  argv[0][0] = '@';
  if (!arguments.succeed.empty()) {
    return run_successor(arguments.succeed, arguments.options.ready_fd);
  }
  return run_daemon(arguments.options);
}
