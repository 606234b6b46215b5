// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/unique_fd.h"

namespace pleat::tool {
namespace {

std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

TEST(RunProgram, GivesBothOutputs) {
  EXPECT_EQ(run_program(shell("echo a; echo b >&2"), 10'000).value(), "a\nb\n");
}

TEST(RunProgram, AFailureHasTheLastLine) {
  const auto said = run_program(shell("echo first; echo the reason; exit 3"), 10'000);
  ASSERT_FALSE(said.has_value());
  EXPECT_EQ(said.error().message, "/bin/sh failed: the reason");
  EXPECT_EQ(run_program(shell("exit 3"), 10'000).error().message, "/bin/sh failed: exit status 3");
  EXPECT_NE(run_program(shell("kill -9 $$"), 10'000).error().message.find("signal 9"),
            std::string::npos);
}

TEST(RunProgram, AMissingProgramIsNamed) {
  const auto output = run_program({"/nonexistent/program"}, 10'000);
  ASSERT_FALSE(output.has_value());
  EXPECT_NE(output.error().message.find("cannot run /nonexistent/program: No such file"),
            std::string::npos)
      << output.error().message;
}

TEST(RunProgram, OneThatHangsIsEnded) {
  const auto output = run_program(shell("echo $$; exec sleep 100"), 100);
  ASSERT_FALSE(output.has_value());
  EXPECT_EQ(output.error().code, ETIMEDOUT);
}

TEST(RunProgram, MoreOutputThanIsKeptDoesNotBlockIt) {
  const auto output = run_program(shell("head -c 1000000 /dev/zero"), 10'000);
  ASSERT_TRUE(output.has_value());
  EXPECT_LE(output->size(), 70'000u);
}

TEST(Spawn, TheChildHasNoDescriptorOfOursButTheKeptOne) {
  const UniqueFd leaked(open("/dev/null", O_RDONLY));  // without O_CLOEXEC, as a shell leaves them
  const UniqueFd kept(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  ASSERT_GT(kept.get(), leaked.get());
  std::string pattern = "/tmp/pleat-fds-XXXXXX";
  const UniqueFd report(mkstemp(pattern.data()));
  const auto child = spawn(shell("for fd in /proc/$$/fd/*; do readlink $fd; done"),
                           {.output = report.get(), .kept = kept.get()});
  ASSERT_TRUE(child.has_value());
  ASSERT_TRUE(wait_for_exit(*child, 10'000).has_value());
  std::string text(4096, '\0');
  text.resize(static_cast<std::size_t>(pread(report.get(), text.data(), text.size(), 0)));
  unlink(pattern.c_str());
  // Input, output, errors, and the kept one.
  EXPECT_EQ(text, "/dev/null\n" + pattern + "\n/dev/null\n/dev/zero\n");
}

TEST(Spawn, TheChildHasASessionOfItsOwnAndNoBlockedSignals) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto child = spawn({"/bin/sleep", "100"}, {});
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(child.has_value());
  // The child may not have got to setsid() yet.
  for (int i = 0; i < 1000 && getsid(*child) != *child; ++i) usleep(1000);
  EXPECT_EQ(getsid(*child), *child);
  EXPECT_TRUE(is_running(*child));
  EXPECT_FALSE(wait_for_exit(*child, 0).has_value());
  kill(*child, SIGTERM);
  const auto status = wait_for_exit(*child, 10'000);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WTERMSIG(*status), SIGTERM);
  EXPECT_FALSE(is_running(*child));
}

TEST(FindProgram, LooksWhereSystemProgramsAreToo) {
  EXPECT_TRUE(find_program("sh").has_value());
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nonexistent", 1);
  EXPECT_TRUE(find_program("mkswap").has_value());
  EXPECT_EQ(find_program("no-such-program").error().code, ENOENT);
  setenv("PATH", path.c_str(), 1);
}

TEST(LastLine, IsTheLastThatSaysSomething) {
  EXPECT_EQ(last_line(""), "");
  EXPECT_EQ(last_line("\n\n"), "");
  EXPECT_EQ(last_line("one"), "one");
  EXPECT_EQ(last_line("one\ntwo\n\n"), "two");
}

}  // namespace
}  // namespace pleat::tool
