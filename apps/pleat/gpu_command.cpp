// SPDX-License-Identifier: MIT OR Apache-2.0
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "codec/kernels.h"
#include "commands.h"
#include "tool/gpu_bench.h"

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

}  // namespace

void add_gpu_command(CLI::App& app, Action* action) {
  CLI::App* command = app.add_subcommand("gpu", "Say what a GPU is good for on this machine");
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
}

}  // namespace pleat
