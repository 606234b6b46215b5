// SPDX-License-Identifier: MIT OR Apache-2.0
// Exit codes, streams and messages of the program itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"
#include "tool/fake_pleatd.h"
#include "tool/pleat_program.h"

namespace pleat::tool {
namespace {

class CommandLine : public ::testing::Test {
 protected:
  control::RuntimeDirectory directory_;
};

TEST_F(CommandLine, AUsageErrorIsOneLineAndExitCodeTwo) {
  for (const char* arguments : {"",
                                "frob",
                                "create",
                                "create --size",
                                "create --size 4X",
                                "create --size 0",
                                "create --size 4G --frob",
                                "create --size 4G --priority 5",
                                "create --size 4G --swap --priority 40000",
                                "create --size 4G --swap --priority -1",
                                "create --size 4G --transport nbd",
                                "create --size 4G --block-size 1024",
                                "create --size 4G --queues 0",
                                "create --size 4G --swap --discard --no-discard",
                                "create --size 4G a b",
                                "create --size 4G --mem-limit x",
                                "list -o FOO",
                                "list --json --raw",
                                "list --output-all -o NAME",
                                "stat",
                                "stat a b",
                                "stat a --json --mm-stat",
                                "set",
                                "set a",
                                "set a b",
                                "set a --size x",
                                "set a mem-limit=x",
                                "compact",
                                "idle a",
                                "idle a --all --age 60",
                                "idle a --age 1h",
                                "recompress",
                                "recompress a --type cold",
                                "recompress a --threshold x",
                                "writeback --type idle",
                                "writeback a",
                                "writeback a --type cold",
                                "writeback a --pages 5-3",
                                "writeback a --type idle --max-pages 0",
                                "remove",
                                "remove a --all",
                                "train",
                                "train -o x.dict",
                                "train x.pages",
                                "help frob",
                                "--frob"}) {
    const ProgramRun run = run_pleat(arguments);
    EXPECT_EQ(run.exit_code, 2) << arguments;
    EXPECT_EQ(run.output, "") << arguments;
    EXPECT_TRUE(run.errors.starts_with("pleat: ")) << arguments << ": " << run.errors;
    EXPECT_EQ(std::count(run.errors.begin(), run.errors.end(), '\n'), 1) << run.errors;
    EXPECT_NE(run.errors.find("see pleat"), std::string::npos) << run.errors;
  }
}

TEST_F(CommandLine, ARunErrorIsOneLineAndExitCodeOne) {
  for (const char* arguments :
       {"stat nobody", "list nobody", "remove nobody", "set nobody mem-limit=0", "compact nobody",
        "idle nobody --all", "recompress nobody", "writeback nobody --type huge", "stat /dev/null",
        "remove .x", "train -o /nowhere/x.dict /nowhere/x.pages"}) {
    const ProgramRun run = run_pleat(arguments);
    EXPECT_EQ(run.exit_code, 1) << arguments;
    EXPECT_EQ(run.output, "") << arguments;
    EXPECT_TRUE(run.errors.starts_with("pleat: ")) << run.errors;
    EXPECT_EQ(std::count(run.errors.begin(), run.errors.end(), '\n'), 1) << run.errors;
  }
}

TEST_F(CommandLine, AnUnknownCommandIsNamed) {
  EXPECT_EQ(run_pleat("frob").errors, "pleat: there is no command 'frob'; see pleat --help\n");
}

TEST_F(CommandLine, HelpGoesToStandardOutput) {
  for (const char* arguments :
       {"--help", "help", "-h", "create --help", "help create", "list --help", "help rm"}) {
    const ProgramRun run = run_pleat(arguments);
    EXPECT_EQ(run.exit_code, 0) << arguments;
    EXPECT_EQ(run.errors, "") << arguments;
    EXPECT_NE(run.output.find("Usage: pleat"), std::string::npos) << arguments;
    EXPECT_NE(run.output.find("Example"), std::string::npos) << arguments;
    // No escape sequences, for a terminal or not.
    EXPECT_EQ(run.output.find('\x1b'), std::string::npos) << arguments;
  }
  EXPECT_EQ(run_pleat("help create").output, run_pleat("create --help").output);
}

TEST_F(CommandLine, TheVersionIsOneLine) {
  const ProgramRun run = run_pleat("--version");
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_EQ(run.output.find("pleat "), 0u);
  EXPECT_EQ(std::count(run.output.begin(), run.output.end(), '\n'), 1);
}

TEST_F(CommandLine, TheOptionsReachTheDaemon) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  const ProgramRun run = run_pleat(
      "create data -s '2M + 4K' -a lz4:fast -m 1M --queues 3 --depth 16 --block-size 512 "
      "--transport loop --id 4");
  EXPECT_EQ(run.exit_code, 0) << run.errors;
  EXPECT_EQ(run.output, "/dev/ublkb7\n");
  EXPECT_EQ(fake.calls().find("--name data --size 2101248 --algorithm lz4:fast --mem-limit 1048576 "
                              "--transport loop --queues 3 --depth 16 --block-size 512 --id 4 "
                              "--ready-fd "),
            0u)
      << fake.calls();
}

TEST_F(CommandLine, CreateEndsThoughTheDaemonGoesOn) {
  // popen() returns at the end of the pipe: the daemon must not hold the caller's standard output.
  const FakePleatd fake(directory_, FakePleatd::kReady);
  EXPECT_EQ(run_pleat("create -s 1M 9>&1").output, "/dev/ublkb7\n");
  EXPECT_TRUE(fake.is_alive());
}

TEST_F(CommandLine, ForegroundBecomesTheDaemon) {
  const FakePleatd fake(directory_, "echo here I am >&2; exit 7\n");
  const ProgramRun run = run_pleat("create data -s 1M --foreground");
  EXPECT_EQ(run.exit_code, 7);
  EXPECT_EQ(run.errors, "here I am\n");
  EXPECT_EQ(fake.calls().find("--ready-fd"), std::string::npos);
}

TEST_F(CommandLine, CommandsReachARunningDevice) {
  const FakeDaemon daemon(status_named("a"));
  EXPECT_EQ(run_pleat("list --raw -n -b -o NAME,TOTAL").output, "a 13107200\n");
  EXPECT_EQ(run_pleat("ls -o NAME").output, "NAME\na\n");
  EXPECT_EQ(run_pleat("stat a --io-stat").output, "       9       10       11    12345\n");
  EXPECT_EQ(run_pleat("set a mem-limit=4M mem-used-max=0").exit_code, 0);
  EXPECT_EQ(run_pleat("rm a").exit_code, 0);
  ASSERT_EQ(daemon.requests().size(), 3u);
  EXPECT_EQ(daemon.requests()[0]["value"], 4 << 20);
  EXPECT_EQ(daemon.requests()[2]["op"], "stop");
}

TEST_F(CommandLine, ADeviceThatDoesNotAnswerIsExitCodeOne) {
  leave_dead_socket("dead");
  const ProgramRun run = run_pleat("list");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_NE(run.output.find("dead not answering"), std::string::npos) << run.output;
  EXPECT_NE(run.errors.find("pleat: the daemon of dead is dead"), std::string::npos) << run.errors;
}

TEST_F(CommandLine, AFullDiskBehindStandardOutputIsAnError) {
  const FakeDaemon daemon(status_named("a"));
  const ProgramRun run = run_pleat("list > /dev/full");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.errors, "pleat: cannot write to standard output\n");
}

}  // namespace
}  // namespace pleat::tool
