// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/create.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"
#include "tool/fake_pleatd.h"
#include "tool/fake_system.h"

namespace pleat::tool {
namespace {

class Create : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("PATH");
    path_ = path == nullptr ? "" : path;
    setenv("PATH", (directory_.path() + ":" + path_).c_str(), 1);
    set_mkswap("exit 0");
  }
  void TearDown() override { setenv("PATH", path_.c_str(), 1); }

  void set_mkswap(const std::string& behaviour) const {
    const std::string path = directory_.path() + "/mkswap";
    std::ofstream(path) << "#!/bin/sh\necho \"$@\" >> " << directory_.path() << "/mkswaps\n"
                        << behaviour << "\n";
    chmod(path.c_str(), 0755);
  }
  std::string mkswaps() const {
    std::ostringstream text;
    text << std::ifstream(directory_.path() + "/mkswaps").rdbuf();
    return text.str();
  }

  Result<void> create(CreateOptions options) {
    options.daemon.size_bytes = 1 << 20;
    return create_device(std::move(options), kernel_.system(), out_, notes_);
  }

  control::RuntimeDirectory directory_;
  FakeSystem kernel_;
  std::ostringstream out_;
  std::ostringstream notes_;
  std::string path_;
};

TEST_F(Create, PrintsThePathAlone) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  ASSERT_TRUE(create({}).has_value());
  EXPECT_EQ(out_.str(), "/dev/ublkb7\n");
  EXPECT_EQ(notes_.str(), "pleat: pleat0 is /dev/ublkb7 (ublk: there)\n");
  EXPECT_TRUE(fake.is_alive());
  EXPECT_EQ(mkswaps(), "");
  EXPECT_NE(fake.calls().find("--name pleat0 --size 1048576 "), std::string::npos);
}

TEST_F(Create, WithoutANameTakesTheNextFreeOne) {
  const FakeDaemon zero(status_named("pleat0"));
  const FakePleatd fake(directory_, FakePleatd::kReady);
  ASSERT_TRUE(create({}).has_value());
  EXPECT_NE(fake.calls().find("--name pleat1 "), std::string::npos);
}

TEST_F(Create, LosingTheRaceForADefaultNameTriesTheNext) {
  // Somebody takes pleat0 between our look and the daemon's start.
  const FakePleatd fake(
      directory_, "if [ $name = pleat0 ]; then touch " + directory_.path() +
                      "/pleat0.json\n"
                      "echo '{\"ok\":false,\"code\":98,\"error\":\"taken\"}' >&$fd; exit 1; fi\n" +
                      FakePleatd::kReady);
  ASSERT_TRUE(create({}).has_value());
  EXPECT_NE(fake.calls().find("--name pleat1 "), std::string::npos);
}

TEST_F(Create, ANameThatIsTakenIsRefusedBeforeItsLogIsTouched) {
  const FakeDaemon living(status_named("data"));
  const FakePleatd fake(directory_, FakePleatd::kReady);
  const auto created = create({.daemon = {.name = "data"}});
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().code, EADDRINUSE);
  EXPECT_EQ(fake.calls(), "");
  EXPECT_FALSE(std::filesystem::exists(log_path("data")));
}

TEST_F(Create, ABadNameIsRefused) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  EXPECT_EQ(create({.daemon = {.name = "a/b"}}).error().code, EINVAL);
  EXPECT_EQ(fake.calls(), "");
}

TEST_F(Create, SwapIsMadeAndUsedWithItsFlags) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  kernel_.write("/proc/sys/vm/page-cluster", "3\n");
  ASSERT_TRUE(create({.swap = SwapOptions{.priority = 5}}).has_value());
  EXPECT_EQ(mkswaps(), "/dev/ublkb7\n");
  EXPECT_EQ(kernel_.calls,
            (std::vector<std::string>{"swapon /dev/ublkb7 " + std::to_string(0x58005)}));
  EXPECT_EQ(out_.str(), "/dev/ublkb7\n");
  EXPECT_NE(notes_.str().find(", and swap (ublk: there)"), std::string::npos);
  EXPECT_NE(notes_.str().find("sysctl vm.page-cluster=0"), std::string::npos);
}

TEST_F(Create, AFailingMkswapRemovesTheDeviceAgain) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  set_mkswap("echo 'mkswap: cannot open' >&2; exit 1");
  const auto created = create({.swap = SwapOptions{}});
  ASSERT_FALSE(created.has_value());
  EXPECT_NE(created.error().message.find("device pleat0 is removed again"), std::string::npos);
  EXPECT_NE(created.error().message.find("mkswap: cannot open"), std::string::npos);
  EXPECT_FALSE(fake.is_alive());
  EXPECT_TRUE(kernel_.calls.empty());
  EXPECT_EQ(out_.str(), "");
}

TEST_F(Create, AFailingSwaponRemovesTheDeviceAgain) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  kernel_.swap_on_fails = true;
  EXPECT_EQ(create({.swap = SwapOptions{}}).error().code, EINVAL);
  EXPECT_FALSE(fake.is_alive());
  EXPECT_EQ(out_.str(), "");
}

TEST_F(Create, AnInterruptionDuringSwaponUndoesAll) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  kernel_.during_swap_on = [] { kill(getpid(), SIGTERM); };
  EXPECT_EQ(create({.swap = SwapOptions{}}).error().code, EINTR);
  ASSERT_EQ(kernel_.calls.size(), 2u);
  EXPECT_EQ(kernel_.calls[1], "swapoff /dev/ublkb7");
  EXPECT_FALSE(fake.is_alive());
  EXPECT_EQ(out_.str(), "");
}

TEST_F(Create, TheDaemonsErrorIsOurs) {
  const FakePleatd fake(directory_,
                        "echo '{\"ok\":false,\"code\":1,\"error\":\"run as root\"}' >&$fd\n");
  const auto created = create({});
  EXPECT_EQ(created.error().code, EPERM);
  EXPECT_EQ(created.error().message, "run as root");
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(notes_.str(), "");
}

// In the foreground the daemon's socket is needed to end it; the fake script has none, so the test
// brings it while the device becomes swap.
class Foreground : public Create {
 protected:
  void serve_socket(const FakePleatd& fake, bool with_signal) {
    kernel_.during_swap_on = [this, &fake, with_signal] {
      control::DeviceStatus status = status_named("pleat0");
      status.path = "/dev/ublkb7";
      daemon_ = std::make_unique<FakeDaemon>(status);
      daemon_->on_stop = [&fake] { kill(fake.last_pid(), SIGTERM); };
      if (with_signal) kill(getpid(), SIGINT);
    };
  }

  std::unique_ptr<FakeDaemon> daemon_;
};

TEST_F(Foreground, ASignalEndsSwapAndThenTheDaemon) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  serve_socket(fake, true);
  const auto created = create({.swap = SwapOptions{}, .foreground = true});
  EXPECT_TRUE(created.has_value()) << created.error().message;
  ASSERT_EQ(kernel_.calls.size(), 2u);
  EXPECT_EQ(kernel_.calls[1], "swapoff /dev/ublkb7");
  ASSERT_EQ(daemon_->requests().size(), 1u);
  EXPECT_EQ(daemon_->requests()[0]["op"], "stop");
  EXPECT_FALSE(fake.is_alive());
  EXPECT_EQ(out_.str(), "/dev/ublkb7\n");
}

TEST_F(Foreground, AFailingSwapoffKeepsTheDeviceUntilTheNextSignal) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  serve_socket(fake, true);
  kernel_.swap_off_failures = 1;
  const auto real_swap_off = kernel_.system().swap_off;
  kernel_.system().swap_off = [&](const std::string& path) {
    // The next signal comes while the first is being served.
    const Result<void> ended = real_swap_off(path);
    if (!ended) {
      EXPECT_TRUE(fake.is_alive());
      std::thread([] {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, nullptr);
        usleep(100'000);
        kill(getpid(), SIGINT);
      }).detach();
    }
    return ended;
  };
  EXPECT_TRUE(create({.swap = SwapOptions{}, .foreground = true}).has_value());
  EXPECT_NE(notes_.str().find("out of swap; the device goes on"), std::string::npos);
  EXPECT_EQ(kernel_.calls.size(), 3u);
}

TEST_F(Foreground, ADaemonThatDiesIsAnError) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  kernel_.during_swap_on = [&] { kill(fake.last_pid(), SIGKILL); };
  const auto created = create({.swap = SwapOptions{}, .foreground = true});
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().code, ECHILD);
  EXPECT_NE(created.error().message.find("signal 9"), std::string::npos);
}

}  // namespace
}  // namespace pleat::tool
