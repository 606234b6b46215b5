// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat bench` and `pleat capture` alone, as a program that needs neither the store nor the
// daemon.
#include <cstdio>

#include "bench_command.h"
#include "capture_command.h"

int main(int argc, char** argv) {
  CLI::App app("pleat bench");
  std::function<pleat::Result<void>()> action;
  pleat::add_bench_command(app, &action);
  pleat::add_capture_command(app, &action);
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);
  const pleat::Result<void> done = action();
  if (done) return 0;
  std::fprintf(stderr, "pleat: %s\n", done.error().message.c_str());
  return 1;
}
