// SPDX-License-Identifier: MIT OR Apache-2.0
// pleatd: its argument table, and nothing else; the daemon is src/daemon.
#include <CLI/CLI.hpp>

#include <cstdint>
#include <string>

#include "base/units.h"
#include "daemon/guardian.h"
#include "daemon/options.h"

namespace {

constexpr int kUsageStatus = 2;

struct Arguments {
  pleat::daemon::Options options;
  bool sweep = false;
};

// Sizes are in bytes, or with a unit as in base/units.h.
void add_size(CLI::App& app, const std::string& flag, std::uint64_t& value,
              const std::string& description) {
  app.add_option_function<std::string>(
         flag,
         [&value, flag](const std::string& text) {
           auto size = pleat::parse_size(text);
           if (!size) throw CLI::ValidationError(flag, size.error().message);
           value = *size;
         },
         description)
      ->type_name("BYTES");
}

void add_arguments(CLI::App& app, Arguments& arguments) {
  pleat::daemon::Options& options = arguments.options;
  auto* const sweep =
      app.add_flag("--sweep", arguments.sweep, "Remove what dead daemons left, and exit");
  auto* const name = app.add_option("--name", options.name, "Name of the device");
  add_size(app, "--size", options.size_bytes, "Size of the device, with K, M, G or T as a unit");
  app.add_option("--algorithm", options.algorithm, "Codec of the pages, or auto")
      ->capture_default_str();
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
  app.add_option("--ready-fd", options.ready_fd,
                 "Descriptor for one line of JSON when the device is ready or has failed");
  sweep->excludes(name);
  app.set_version_flag("--version", "pleatd " PLEAT_VERSION);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Serves one compressed block device in memory; see pleatd(8)", "pleatd"};
  add_arguments(app, arguments);
  try {
    app.parse(argc, argv);
    if (!arguments.sweep && (app.count("--name") == 0 || app.count("--size") == 0)) {
      throw CLI::RequiredError("--name and --size, or --sweep,");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageStatus;
  }
  return arguments.sweep ? pleat::daemon::run_sweep()
                         : pleat::daemon::run_daemon(arguments.options);
}
