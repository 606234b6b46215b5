// SPDX-License-Identifier: MIT OR Apache-2.0
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "codec/kernels.h"
#include "commands.h"
#include "tool/train.h"

namespace pleat {
namespace {

struct TrainArguments {
  std::string output;
  std::vector<std::string> pages;
};

Result<void> run_train(const TrainArguments& arguments) {
  Result<const codec::Kernels*> kernels = codec::select_kernels();
  if (!kernels) return std::move(kernels).error();
  Result<tool::TrainResult> result = tool::train(arguments.pages, arguments.output, **kernels);
  if (!result) return std::move(result).error();
  std::fputs(to_text(*result, arguments.output).c_str(), stdout);
  return {};
}

}  // namespace

void add_train_command(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command =
      app.add_subcommand("train", "Make a zstd dictionary of tables for pages like these");
  command->add_option("-o,--output", arguments->output, "Dictionary to write")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("pages", arguments->pages,
                   "Files of 4 KiB pages, or directories with *.pages files")
      ->required()
      ->type_name("PAGES...");
  command->callback([=] { *action = [arguments] { return run_train(*arguments); }; });
}

}  // namespace pleat
