// SPDX-License-Identifier: MIT OR Apache-2.0
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "codec/kernels.h"
#include "commands.h"
#include "tool/gpu_bench.h"
#include "tool/gpu_tier.h"

namespace pleat {
namespace {

Result<void> run_gpu_info(const tool::GpuInfoOptions& options) {
  Result<const codec::Kernels*> kernels = codec::select_kernels();
  if (!kernels) return std::move(kernels).error();
  Result<std::string> text = tool::describe_gpu(**kernels, options);
  if (!text) return std::move(text).error();
  std::fputs(text->c_str(), stdout);
  return {};
}

struct TierArguments {
  tool::GpuTierOptions options;
  std::string size;
};

Result<void> run_tier(const TierArguments& arguments) {
  tool::GpuTierOptions options = arguments.options;
  const Result<std::uint64_t> size = config::evaluate_size(arguments.size);
  if (!size) return size.error();
  options.bytes = *size;
  return tool::run_gpu_tier(options, std::cout, std::cerr);
}

void add_tier_command(CLI::App& gpu, Action* action) {
  const auto arguments = std::make_shared<TierArguments>();
  CLI::App* tier = gpu.add_subcommand(
      "tier", "Offer memory of a GPU as a file, for pleat writeback (experimental)");
  tier->add_option("DIR", arguments->options.directory,
                   "Empty directory; the file DIR/vram appears in it")
      ->required();
  tier->add_option("-s,--size", arguments->size, "Memory of the GPU to take: 4G, 512M")
      ->type_name("SIZE")
      ->required()
      ->check(check_size);
  tier->add_option("--device", arguments->options.device, "Number of the GPU")
      ->capture_default_str();
  tier->footer(
      "Stays until SIGTERM or Ctrl-C, and while a device uses the file. Pages in it are lost when\n"
      "it is killed, when the driver resets the GPU, and in a suspended machine whose driver does\n"
      "not keep video memory.\n\n"
      "Examples:\n"
      "  pleat gpu tier /run/vram --size 4G\n"
      "  pleat create --size 16G --swap --writeback-device /run/vram/vram");
  tier->callback([=] { *action = [arguments] { return run_tier(*arguments); }; });
}

}  // namespace

void add_gpu_command(CLI::App& app, Action* action) {
  CLI::App* command =
      app.add_subcommand("gpu", "Say what a GPU is good for on this machine, and lend its memory");
  command->require_subcommand(1);
  const auto options = std::make_shared<tool::GpuInfoOptions>();
  options->threads = std::max(1u, std::thread::hardware_concurrency());
  CLI::App* info = command->add_subcommand(
      "info", "Measure the link, the kernels and a core, and show for which batches the GPU pays");
  info->add_option("--device", options->device, "Number of the GPU")->capture_default_str();
  info->add_option("--codec", options->codec, "line or lz4")
      ->check(CLI::IsMember({"line", "lz4"}))
      ->capture_default_str();
  info->add_option("--threads", options->threads, "Cores that are free for the work")
      ->check(CLI::Range(1u, 4096u))
      ->capture_default_str();
  info->callback([=] { *action = [options] { return run_gpu_info(*options); }; });
  add_tier_command(*command, action);
}

}  // namespace pleat
