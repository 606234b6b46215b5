// SPDX-License-Identifier: MIT OR Apache-2.0
// The manual pages and the completions against the programs' own help: they have every command,
// option and column, and no option that the command does not have.
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

// A manual page with its escaped hyphens as hyphens.
std::string manual(const std::string& name) {
  return std::regex_replace(read_source("man/" + name), std::regex("\\\\-"), "-");
}

using Words = std::set<std::string>;

Words matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  Words found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

// What lies between `start` and the next `end`; empty where there is no `start`.
std::string between(const std::string& text, const std::string& start, const std::string& end) {
  const std::size_t at = text.find(start);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + start.size();
  return text.substr(begin, text.find(end, begin) - begin);
}

// The names in a help text's list of commands, without aliases.
Words commands_in(const std::string& help) {
  return matches("\n" + between(help, "Subcommands:\n", "\n\n"), "\n  ([a-z]+)");
}

// The options in a help text with their dashes, the short ones too, and not those in its examples.
Words options_in(const std::string& help) {
  return matches("\n" + between(help, "Options:\n", "\n\n"), "(?:\n  |,)(--?[A-Za-z][a-z-]*)");
}

// All options of `command` and the commands under it but for help, which all commands have.
Words options_of(const std::string& command) {
  const std::string help = run_pleat(command + " --help").output;
  Words options = options_in(help);
  EXPECT_TRUE(options.contains("--help")) << command;
  for (const std::string& below : commands_in(help)) {
    options.merge(options_of(command + " " + below));
  }
  options.erase("-h");
  options.erase("--help");
  return options;
}

Words commands() { return commands_in(run_pleat("--help").output); }

Words long_ones(Words options) {
  std::erase_if(options, [](const std::string& option) { return !option.starts_with("--"); });
  return options;
}

// The options that a section of a manual page describes: those in the line behind each .TP.
Words options_described(const std::string& page, const std::string& section) {
  const std::string text = between(page, ".SH " + section + "\n", "\n.SH ");
  const std::regex tag("\\.TP\n([^\n]*)");
  Words options;
  for (std::sregex_iterator it(text.begin(), text.end(), tag), end; it != end; ++it) {
    options.merge(matches((*it)[1], "[ \"](--?[A-Za-z][a-z-]*)"));
  }
  options.erase("-h");
  options.erase("--help");
  return options;
}

// What the completions of bash and zsh, which are alike in this, have in the case of `command`.
std::string completion_case(const std::string& text, const std::string& command) {
  std::smatch found;
  const std::regex label("\n    " + command + "(?: \\| [a-z]+)?\\)");
  if (!std::regex_search(text, found, label)) return {};
  return text.substr(static_cast<std::size_t>(found.position()),
                     text.find(";;", static_cast<std::size_t>(found.position())) -
                         static_cast<std::size_t>(found.position()));
}

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

TEST(Documentation, TheManualPageHasEveryCommandAndItsOptionsAndNoOthers) {
  const std::string page = manual("pleat.1");
  for (const std::string& command : commands()) {
    EXPECT_TRUE(has_word(page, "pleat " + command)) << command;
    std::string section = "PLEAT ";
    for (const char letter : command) section += static_cast<char>(std::toupper(letter));
    EXPECT_EQ(options_described(page, section), options_of(command)) << command;
  }
  EXPECT_EQ(options_described(page, "OPTIONS"), Words{"--version"});
  EXPECT_TRUE(has_word(page, "-h") && has_word(page, "--help"));
}

TEST(Documentation, TheDaemonsManualPageHasItsOptionsAndNoOthers) {
  Words options = options_in(run_command(PLEATD_PROGRAM " --help").output);
  EXPECT_TRUE(options.contains("--ready-fd"));
  options.erase("-h");
  options.erase("--help");
  const std::string page = manual("pleatd.8");
  EXPECT_EQ(options_described(page, "OPTIONS"), options);
  EXPECT_TRUE(has_word(page, "-h") && has_word(page, "--help"));
}

TEST(Documentation, TheManualPageHasEveryColumn) {
  const std::string page = manual("pleat.1");
  for (const Column& column : all_columns()) {
    EXPECT_TRUE(has_word(page, std::string(column.name))) << column.name;
  }
}

TEST(Documentation, TheCompletionsHaveEveryCommandAndColumn) {
  for (const char* file : {"completions/pleat.bash", "completions/_pleat"}) {
    const std::string text = read_source(file);
    for (const std::string& command : commands()) {
      EXPECT_TRUE(has_word(text, command)) << file << ": " << command;
    }
    for (const Column& column : all_columns()) {
      EXPECT_TRUE(has_word(text, std::string(column.name))) << file << ": " << column.name;
    }
  }
  const std::string fish = read_source("completions/pleat.fish");
  for (const std::string& command : commands()) {
    EXPECT_TRUE(has_word(fish, "-a " + command)) << command;
  }
}

TEST(Documentation, TheCompletionOfBashHasTheLongOptionsOfACommandAndNoOthers) {
  const std::string text = read_source("completions/pleat.bash");
  const std::string words = between(text, "\n_pleat_words() {", "\n}");
  for (const std::string& command : commands()) {
    Words options = matches(completion_case(words, command), "[ \n](--[a-z][a-z-]*)");
    options.erase("--help");
    EXPECT_EQ(options, long_ones(options_of(command))) << command;
  }
}

TEST(Documentation, TheCompletionOfZshHasTheOptionsOfACommandAndNoOthers) {
  const std::string text = read_source("completions/_pleat");
  const std::string pages = between(text, "local -a pages=(", "\n  )");
  for (const std::string& command : commands()) {
    std::string own = completion_case(text, command);
    if (own.find("$pages") != std::string::npos) own += pages;
    Words options = matches(own, "[{,'*](--?[A-Za-z][a-z-]*)");
    options.erase("--help");
    EXPECT_EQ(options, options_of(command)) << command;
  }
}

TEST(Documentation, TheCompletionOfFishHasTheOptionsOfACommandAndNoOthers) {
  const std::string text = read_source("completions/pleat.fish");
  const std::regex line("\ncomplete -c pleat -n '__fish_seen_subcommand_from ([a-z ]+)'([^\n]*)");
  for (const std::string& command : commands()) {
    Words options;
    for (std::sregex_iterator it(text.begin(), text.end(), line), end; it != end; ++it) {
      if (!matches((*it)[1], "([a-z]+)").contains(command)) continue;
      for (const std::string& name : matches((*it)[2], " -l ([a-z-]+)"))
        options.insert("--" + name);
      for (const std::string& name : matches((*it)[2], " -s ([A-Za-z])"))
        options.insert("-" + name);
    }
    EXPECT_EQ(options, options_of(command)) << command;
  }
}

}  // namespace
}  // namespace pleat::tool
