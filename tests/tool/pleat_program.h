// SPDX-License-Identifier: MIT OR Apache-2.0
// The built programs, run as a user runs them.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

namespace pleat::tool {

struct ProgramRun {
  int exit_code = -1;
  std::string output;
  std::string errors;
};

// Runs `command` through the shell.
inline ProgramRun run_command(const std::string& command) {
  std::string error_file = "/tmp/pleat-stderr-XXXXXX";
  close(mkstemp(error_file.data()));
  ProgramRun run;
  const auto read_all = [](std::FILE* file, std::string& text) {
    std::array<char, 4096> chunk;
    while (const std::size_t count = std::fread(chunk.data(), 1, chunk.size(), file)) {
      text.append(chunk.data(), count);
    }
  };
  std::FILE* pipe = popen((command + " 2>" + error_file).c_str(), "r");
  read_all(pipe, run.output);
  const int status = pclose(pipe);
  run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  std::FILE* errors = std::fopen(error_file.c_str(), "r");
  read_all(errors, run.errors);
  std::fclose(errors);
  unlink(error_file.c_str());
  return run;
}

// Runs `pleat ARGUMENTS`.
inline ProgramRun run_pleat(const std::string& arguments) {
  return run_command(PLEAT_PROGRAM " " + arguments);
}

}  // namespace pleat::tool
