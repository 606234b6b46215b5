// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/remove.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"
#include "tool/fake_pleatd.h"
#include "tool/fake_system.h"
#include "tool/launch.h"

namespace pleat::tool {
namespace {

class Remove : public ::testing::Test {
 protected:
  Result<void> remove(const RemoveOptions& options) {
    return remove_devices(options, kernel_.system(), notes_);
  }

  control::RuntimeDirectory directory_;
  FakeSystem kernel_;
  std::ostringstream notes_;
};

TEST_F(Remove, AsksTheDaemonToStop) {
  const FakeDaemon daemon(status_named("a"));
  std::ofstream(log_path("a")) << "words\n";
  ASSERT_TRUE(remove({.names = {"a"}}).has_value());
  ASSERT_EQ(daemon.requests().size(), 1u);
  EXPECT_EQ(daemon.requests()[0]["op"], "stop");
  EXPECT_TRUE(kernel_.calls.empty());
  EXPECT_FALSE(std::filesystem::exists(log_path("a")));
}

TEST_F(Remove, WhatUsesTheDeviceIsSaidAndItStays) {
  FakeDaemon daemon(status_named("a"));
  daemon.refusal = Error{EBUSY, "/dev/ublkb0 is in use as swap"};
  kernel_.set_swap("/dev/ublkb0");
  const auto removed = remove({.names = {"a"}});
  ASSERT_FALSE(removed.has_value());
  EXPECT_EQ(removed.error().code, EBUSY);
  EXPECT_EQ(removed.error().message, "/dev/ublkb0 is in use as swap");
  EXPECT_TRUE(kernel_.calls.empty());
}

TEST_F(Remove, SwapEndsBeforeTheDeviceWhereAsked) {
  FakeDaemon daemon(status_named("a"));
  kernel_.set_swap("/dev/ublkb0");
  bool was_swap = true;
  daemon.on_stop = [&] { was_swap = kernel_.calls.empty(); };
  ASSERT_TRUE(remove({.names = {"/dev/ublkb0"}, .swap_off = true}).has_value());
  EXPECT_EQ(kernel_.calls, (std::vector<std::string>{"swapoff /dev/ublkb0"}));
  EXPECT_FALSE(was_swap);
}

TEST_F(Remove, ADeviceThatIsNoSwapNeedsNoSwapoff) {
  const FakeDaemon daemon(status_named("a"));
  ASSERT_TRUE(remove({.names = {"a"}, .swap_off = true}).has_value());
  EXPECT_TRUE(kernel_.calls.empty());
}

TEST_F(Remove, AFailingSwapoffKeepsTheDevice) {
  const FakeDaemon daemon(status_named("a"));
  kernel_.set_swap("/dev/ublkb0");
  kernel_.swap_off_failures = 1;
  EXPECT_EQ(remove({.names = {"a"}, .swap_off = true}).error().code, ENOMEM);
  EXPECT_TRUE(daemon.requests().empty());
}

TEST_F(Remove, WaitsUntilTheNodeIsGone) {
  FakeDaemon daemon(status_named("a"));
  kernel_.write("/dev/ublkb0", "");
  const std::string node = kernel_.path("/dev/ublkb0");
  std::thread udev;
  daemon.on_stop = [&] {
    udev = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      std::filesystem::remove(node);
    });
  };
  EXPECT_TRUE(remove({.names = {"a"}}).has_value());
  EXPECT_FALSE(std::filesystem::exists(node));
  udev.join();
}

TEST_F(Remove, ALoopDevicesNodeStays) {
  control::DeviceStatus status = status_named("a");
  status.transport = "loop";
  status.path = "/dev/loop3";
  const FakeDaemon daemon(status);
  kernel_.write("/dev/loop3", "");
  EXPECT_TRUE(remove({.names = {"a"}}).has_value());
}

TEST_F(Remove, GoesOnAfterAFailureAndNamesAll) {
  const FakeDaemon a(status_named("a"));
  FakeDaemon b(status_named("b"));
  b.refusal = Error{EBUSY, "b is in use"};
  const FakeDaemon c(status_named("c"));
  const auto removed = remove({.names = {"nobody", "b", "a", "c"}});
  ASSERT_FALSE(removed.has_value());
  EXPECT_EQ(removed.error().message, "no device nobody; see pleat list; b is in use");
  EXPECT_EQ(a.requests().size(), 1u);
  EXPECT_EQ(c.requests().size(), 1u);
}

TEST_F(Remove, AllMeansAll) {
  const FakeDaemon a(status_named("a"));
  const FakeDaemon b(status_named("b"));
  ASSERT_TRUE(remove({.all = true}).has_value());
  EXPECT_EQ(a.requests().size(), 1u);
  EXPECT_EQ(b.requests().size(), 1u);
}

TEST_F(Remove, AllOfNothingIsNoError) {
  EXPECT_TRUE(remove({.all = true}).has_value());
  EXPECT_EQ(notes_.str(), "pleat: there are no devices\n");
}

TEST_F(Remove, WhatADeadDaemonLeftIsCleanedUp) {
  const FakePleatd fake(directory_, "");
  leave_dead_socket("dead");
  std::ofstream(log_path("dead")) << "words\n";
  ASSERT_TRUE(remove({.names = {"dead"}}).has_value());
  EXPECT_EQ(fake.calls(), "--sweep\n");
  EXPECT_TRUE(control::device_names().empty());
  EXPECT_FALSE(std::filesystem::exists(log_path("dead")));
  EXPECT_NE(notes_.str().find("the daemon of dead is dead"), std::string::npos);
}

TEST_F(Remove, AStateFileAloneIsADeadDaemonToo) {
  const FakePleatd fake(directory_, "");
  std::ofstream(directory_.path() + "/dead.json") << "{}";
  ASSERT_TRUE(remove({.names = {"dead"}}).has_value());
  EXPECT_EQ(fake.calls(), "--sweep\n");
}

TEST_F(Remove, AFailingSweepIsAnErrorAndLeavesTheTraces) {
  std::ofstream(directory_.path() + "/sweeper") << "#!/bin/sh\necho 'device is busy'; exit 1\n";
  std::filesystem::permissions(directory_.path() + "/sweeper", std::filesystem::perms::owner_all);
  setenv("PLEATD", (directory_.path() + "/sweeper").c_str(), 1);
  leave_dead_socket("dead");
  const auto removed = remove({.names = {"dead"}});
  unsetenv("PLEATD");
  ASSERT_FALSE(removed.has_value());
  EXPECT_NE(removed.error().message.find("device is busy"), std::string::npos);
  EXPECT_EQ(control::device_names(), (std::vector<std::string>{"dead"}));
}

TEST_F(Remove, ADaemonThatDoesNotStopInTimeIsAnError) {
  FakeDaemon daemon(status_named("a"));
  daemon.on_stop = [] { std::this_thread::sleep_for(std::chrono::milliseconds(500)); };
  EXPECT_EQ(remove({.names = {"a"}, .stop_timeout_ms = 50}).error().code, ETIMEDOUT);
}

}  // namespace
}  // namespace pleat::tool
