// SPDX-License-Identifier: MIT OR Apache-2.0
// The manual page and the completions against the program's own help: no command and no option is
// missing from them, and they name no column that is not there.
#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "tool/columns.h"
#include "tool/pleat_program.h"

namespace pleat::tool {
namespace {

std::string read_source(const std::string& path) {
  std::ifstream file(std::string(PLEAT_SOURCE_DIR) + "/" + path);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The manual page with its escaped hyphens as hyphens.
std::string manual() {
  return std::regex_replace(read_source("man/pleat.1"), std::regex("\\\\-"), "-");
}

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

// The names in a help text's list of commands, without aliases.
std::set<std::string> commands_in(const std::string& help) {
  const std::size_t start = help.find("Subcommands:\n");
  if (start == std::string::npos) return {};
  const std::string list = help.substr(start, help.find("\n\n", start) - start);
  return matches(list, "\n  ([a-z]+)");
}

// All option names of `command` and the commands under it, with their dashes.
std::set<std::string> options_of(const std::string& command) {
  const std::string help = run_pleat(command + " --help").output;
  const std::size_t start = help.find("Options:\n");
  EXPECT_NE(start, std::string::npos) << command;
  // The examples that follow use options of other commands.
  const std::string list = help.substr(start, help.find("\n\n", start) - start);
  std::set<std::string> options = matches(list, "(?:\n  |,)(--[a-z][a-z-]*)");
  for (const std::string& below : commands_in(help))
    options.merge(options_of(command + " " + below));
  return options;
}

std::set<std::string> commands() { return commands_in(run_pleat("--help").output); }

// Whether `word` stands in the text by itself and not as the start of a longer one.
bool has_word(const std::string& text, const std::string& word) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const char next = at + word.size() < text.size() ? text[at + word.size()] : ' ';
    const bool goes_on = std::isalnum(static_cast<unsigned char>(next)) != 0 || next == '-';
    if (!goes_on) return true;
  }
  return false;
}

TEST(Documentation, TheHelpListsCommandsAndOptions) {
  // What the tests below compare with must not be empty.
  EXPECT_GE(commands().size(), 6u);
  EXPECT_GE(options_of("create").size(), 14u);
  EXPECT_GE(options_of("list").size(), 7u);
}

TEST(Documentation, TheManualPageHasEveryCommandAndOption) {
  const std::string page = manual();
  for (const std::string& command : commands()) {
    EXPECT_NE(page.find("pleat " + command), std::string::npos) << command;
    for (const std::string& option : options_of(command)) {
      EXPECT_TRUE(has_word(page, option)) << command << " " << option;
    }
  }
  EXPECT_TRUE(has_word(page, "--version"));
}

TEST(Documentation, TheManualPageHasEveryColumn) {
  const std::string page = manual();
  for (const Column& column : all_columns()) {
    EXPECT_TRUE(has_word(page, std::string(column.name))) << column.name;
  }
}

TEST(Documentation, TheCompletionsOfBashAndZshHaveEveryCommandOptionAndColumn) {
  for (const char* file : {"completions/pleat.bash", "completions/_pleat"}) {
    const std::string text = read_source(file);
    for (const std::string& command : commands()) {
      EXPECT_TRUE(has_word(text, command)) << file << ": " << command;
      for (const std::string& option : options_of(command)) {
        EXPECT_TRUE(has_word(text, option)) << file << ": " << option;
      }
    }
    for (const Column& column : all_columns()) {
      EXPECT_TRUE(has_word(text, std::string(column.name))) << file << ": " << column.name;
    }
  }
}

TEST(Documentation, TheCompletionOfFishHasEveryCommandAndOption) {
  const std::string text = read_source("completions/pleat.fish");
  for (const std::string& command : commands()) {
    EXPECT_TRUE(has_word(text, "-a " + command)) << command;
    for (const std::string& option : options_of(command)) {
      EXPECT_TRUE(has_word(text, "-l " + option.substr(2))) << option;
    }
  }
}

}  // namespace
}  // namespace pleat::tool
