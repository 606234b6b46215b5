// SPDX-License-Identifier: MIT OR Apache-2.0
// Every way in which a starting daemon can end, seen from the tool.
#include "tool/launch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "control/runtime_directory.h"
#include "tool/fake_pleatd.h"
#include "tool/subprocess.h"

namespace pleat::tool {
namespace {

class Launch : public ::testing::Test {
 protected:
  Result<RunningDaemon> launch(unsigned timeout_ms = 20'000) {
    auto interruption = Interruption::watch();
    LaunchOptions options{find_daemon().value(), {}, false, timeout_ms};
    options.daemon.name = "a";
    options.daemon.size_bytes = 4096;
    return launch_daemon(options, *interruption);
  }

  bool has_log() const { return std::filesystem::exists(log_path("a")); }

  control::RuntimeDirectory directory_;
};

TEST_F(Launch, AReadyDaemonIsLeftRunning) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  const auto daemon = launch();
  ASSERT_TRUE(daemon.has_value()) << daemon.error().message;
  EXPECT_EQ(daemon->path, "/dev/ublkb7");
  EXPECT_EQ(daemon->transport, "ublk");
  EXPECT_EQ(daemon->reason, "ublk: there");
  EXPECT_EQ(daemon->pid, fake.last_pid());
  EXPECT_TRUE(is_running(daemon->pid));
  undo_launch({find_daemon().value(), {.name = "a"}}, daemon->pid);
  EXPECT_FALSE(is_running(daemon->pid));
}

TEST_F(Launch, TheDaemonsOwnErrorIsPassedOn) {
  const FakePleatd fake(directory_,
                        "echo noise >&2\n"
                        "echo '{\"ok\":false,\"code\":12,\"error\":\"not enough memory\"}' >&$fd\n"
                        "exit 1\n");
  const auto daemon = launch();
  ASSERT_FALSE(daemon.has_value());
  EXPECT_EQ(daemon.error().code, ENOMEM);
  EXPECT_EQ(daemon.error().message, "not enough memory");
  EXPECT_FALSE(fake.is_alive());
  EXPECT_FALSE(has_log());
}

TEST_F(Launch, ADeathIsToldWithTheLastWords) {
  const FakePleatd fake(directory_, "echo one >&2; echo 'cannot open /dev/x' >&2; exit 5\n");
  const auto daemon = launch();
  ASSERT_FALSE(daemon.has_value());
  EXPECT_EQ(daemon.error().code, ECHILD);
  EXPECT_EQ(daemon.error().message,
            "pleatd ended before its device was ready (exit status 5); its last words: cannot open "
            "/dev/x");
  EXPECT_TRUE(has_log());
}

TEST_F(Launch, TheLastWordsAreNotThoseOfAnEarlierDaemon) {
  std::ofstream(log_path("a")) << "words of an earlier daemon\n";
  const FakePleatd fake(directory_, "exit 5\n");
  EXPECT_EQ(launch().error().message, "pleatd ended before its device was ready (exit status 5)");
}

TEST_F(Launch, AKilledDaemonIsToldAsKilled) {
  const FakePleatd fake(directory_, "kill -9 $$\n");
  EXPECT_NE(launch().error().message.find("signal 9"), std::string::npos);
}

TEST_F(Launch, ASilentDaemonIsEndedInTime) {
  const FakePleatd fake(directory_, "exec sleep 100\n");
  const auto daemon = launch(300);
  ASSERT_FALSE(daemon.has_value());
  EXPECT_EQ(daemon.error().code, ETIMEDOUT);
  EXPECT_NE(daemon.error().message.find(log_path("a")), std::string::npos);
  EXPECT_FALSE(fake.is_alive());
}

TEST_F(Launch, HalfALineIsNotReady) {
  const FakePleatd fake(directory_, "printf '{\"ok\":true' >&$fd; exit 0\n");
  EXPECT_EQ(launch().error().code, ECHILD);
}

TEST_F(Launch, NonsenseIsNotReadyAndTheDaemonIsEnded) {
  for (const char* line : {"hello", "{}", "{\"ok\":1}", "{\"ok\":true}", "{\"ok\":false}",
                           "{\"ok\":true,\"path\":1,\"transport\":\"ublk\",\"reason\":\"\"}",
                           "{\"ok\":false,\"code\":\"x\",\"error\":\"y\"}", "[]"}) {
    const FakePleatd fake(directory_, "echo '" + std::string(line) + "' >&$fd; exec sleep 100\n");
    EXPECT_EQ(launch().error().code, EBADMSG) << line;
    EXPECT_FALSE(fake.is_alive()) << line;
  }
}

TEST_F(Launch, LeftoversOfAFailureAreSweptUp) {
  const FakePleatd fake(directory_, "touch " + directory_.path() + "/a.json; exit 5\n");
  EXPECT_FALSE(launch().has_value());
  EXPECT_NE(fake.calls().find("--sweep\n"), std::string::npos);
}

TEST_F(Launch, AnInterruptionEndsTheDaemon) {
  const FakePleatd fake(directory_, "kill -INT $PPID; exec sleep 100\n");
  auto interruption = Interruption::watch();
  LaunchOptions options{find_daemon().value(), {.name = "a", .size_bytes = 4096}};
  const auto daemon = launch_daemon(options, *interruption);
  ASSERT_FALSE(daemon.has_value());
  EXPECT_EQ(daemon.error().code, EINTR);
  EXPECT_FALSE(fake.is_alive());
  EXPECT_FALSE(has_log());
}

TEST_F(Launch, AProgramThatCannotRunIsADeath) {
  setenv("PLEATD", "/nonexistent/pleatd", 1);
  EXPECT_EQ(find_daemon().error().code, ENOENT);
  unsetenv("PLEATD");
  std::ofstream(directory_.path() + "/broken") << "\x7f"
                                                  "ELF is not all";
  chmod((directory_.path() + "/broken").c_str(), 0755);
  setenv("PLEATD", (directory_.path() + "/broken").c_str(), 1);
  const auto daemon = launch();
  unsetenv("PLEATD");
  ASSERT_FALSE(daemon.has_value());
  EXPECT_NE(daemon.error().message.find("cannot run"), std::string::npos) << daemon.error().message;
}

TEST(DaemonArguments, LeaveWhatIsNotSetToTheDaemon) {
  const auto argv = daemon_arguments("/x/pleatd", {.name = "a", .size_bytes = 8192});
  EXPECT_EQ(argv,
            (std::vector<std::string>{"/x/pleatd", "--name", "a", "--size", "8192", "--algorithm",
                                      "auto", "--mem-limit", "0", "--transport", "auto"}));
}

TEST(DaemonArguments, CarryEveryOption) {
  const auto argv = daemon_arguments(
      "pleatd", {"a", 8192, 16384, "lz4:fast", 4096, 2, 32, 512, "loop", 5, "lz4hc", "/dev/sdb1"});
  EXPECT_EQ(argv,
            (std::vector<std::string>{
                "pleatd",   "--name",      "a",    "--size",       "8192",  "--algorithm",
                "lz4:fast", "--mem-limit", "4096", "--transport",  "loop",  "--size-max",
                "16384",    "--queues",    "2",    "--depth",      "32",    "--block-size",
                "512",      "--id",        "5",    "--recompress", "lz4hc", "--writeback-device",
                "/dev/sdb1"}));
}

}  // namespace
}  // namespace pleat::tool
