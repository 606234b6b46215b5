// SPDX-License-Identifier: MIT OR Apache-2.0
// pleat: makes, shows, changes and removes Pleat devices. This file finds out what is asked for;
// the *_command.cpp files hold the argument tables, and src/tool does the work.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "commands.h"
#include "help_formatter.h"

namespace pleat {
namespace {

constexpr int kRunError = 1;
constexpr int kUsageError = 2;

struct Outcome {
  int exit_code = 0;
  std::string message;  // what went wrong, one line
};

const CLI::App* find_command(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->check_name(name)) return command;
  }
  return nullptr;
}

// `pleat help [COMMAND]`: what the --help of the command says.
void add_help_command(CLI::App& app, Action* action) {
  const auto topic = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("help", "Show the help of a command");
  command->add_option("COMMAND", *topic, "The command; default: all of them");
  command->callback([=, &app] {
    const CLI::App* subject = &app;
    if (!topic->empty()) {
      subject = find_command(app, *topic);
      if (subject == nullptr)
        throw CLI::ValidationError("COMMAND", "there is no command '" + *topic + "'");
    }
    *action = [subject, topic]() -> Result<void> {
      // Without a mode, CLI11 would give the help of the command in use: this one.
      std::cout << subject->get_formatter()->make_help(
          subject, topic->empty() ? "pleat" : "pleat " + *topic, CLI::AppFormatMode::Normal);
      return {};
    };
  });
}

void add_commands(CLI::App& app, Action* action) {
  add_create_command(app, action);
  add_list_command(app, action);
  add_stat_command(app, action);
  add_metrics_command(app, action);
  add_set_command(app, action);
  add_compact_command(app, action);
  add_idle_command(app, action);
  add_recompress_command(app, action);
  add_writeback_command(app, action);
  add_remove_command(app, action);
  add_upgrade_command(app, action);
  add_bench_command(app, action);
  add_capture_command(app, action);
  add_gpu_command(app, action);
  add_train_command(app, action);
  add_help_command(app, action);
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// The usage error with the place where the right usage is described.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  std::string command = "pleat";
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  if (!chosen.empty()) command += " " + chosen.front()->get_name();
  return one_line(error.what()) + "; see " + command + " --help";
}

Outcome run(int argc, char** argv) {
  Action action;
  CLI::App app("Pleat: compressed memory as a block device, for swap.", "pleat");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "Show this help");
  app.set_version_flag("--version", "pleat " PLEAT_VERSION, "Show the version");
  app.require_subcommand(1);
  add_commands(app, &action);
  app.footer(
      "Examples:\n"
      "  pleat create --size ram/2 --swap\n"
      "  pleat list\n"
      "  pleat remove --all --swapoff\n\n"
      "'pleat COMMAND --help' says more about a command; so does the page pleat(1).");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {
    app.exit(request);
    return {};
  } catch (const CLI::ParseError& error) {
    // CLI11 only says that a command is missing where the one given is unknown.
    if (argc > 1 && argv[1][0] != '-' && find_command(app, argv[1]) == nullptr) {
      return {kUsageError, "there is no command '" + std::string(argv[1]) + "'; see pleat --help"};
    }
    return {kUsageError, usage_message(app, error)};
  }
  const Result<void> done = action();
  if (!done) return {kRunError, one_line(done.error().message)};
  if (!std::cout.flush()) return {kRunError, "cannot write to standard output"};
  return {};
}

}  // namespace
}  // namespace pleat

int main(int argc, char** argv) {
  const pleat::Outcome outcome = pleat::run(argc, argv);
  if (!outcome.message.empty()) {
    std::cout.flush();
    std::fprintf(stderr, "pleat: %s\n", outcome.message.c_str());
  }
  return outcome.exit_code;
}
