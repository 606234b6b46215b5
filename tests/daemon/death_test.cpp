// SPDX-License-Identifier: MIT OR Apache-2.0
// What dies how, and what is left: nothing, or what a sweep removes (docs/reliability.md).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/swap.h>
#include <unistd.h>

#include <csignal>

#include "daemon/board.h"
#include "daemon/daemon_process.h"

namespace pleat::daemon {
namespace {

using testing::HasSubstr;

class Death : public DaemonTest, public testing::WithParamInterface<bool> {
 protected:
  // A program that has the device open and reads, where the parameter asks for one.
  UniqueFd reader(DaemonProcess& daemon) {
    if (!GetParam()) return {};
    UniqueFd fd(open(daemon.path().c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(fd);
    EXPECT_EQ(read_page(fd), 4096);
    return fd;
  }
  static ssize_t read_page(const UniqueFd& fd) {
    static char page[4096];
    posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);  // so that the device is asked
    return pread(fd.get(), page, sizeof(page), 0);
  }
};

class DeathAlone : public DaemonTest {};

INSTANTIATE_TEST_SUITE_P(, Death, testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "WithAReader" : "Idle";
});

TEST_P(Death, OfTheWorkerEndsTheDaemonInWords) {
  for (const int signal : {SIGKILL, SIGSEGV}) {
    DaemonProcess daemon(arguments());
    ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
    UniqueFd open_reader = reader(daemon);
    kill(daemon.worker(), signal);
    EXPECT_EQ(daemon.wait(), 1);
    EXPECT_THAT(
        daemon.said(),
        HasSubstr("the worker of " + name_ + " (" + daemon.path() + "), process " +
                  std::to_string(daemon.worker()) + ", was killed by SIG" +
                  (signal == SIGKILL ? "KILL" : "SEGV") + "; the pages of the device are lost\n"));
    if (open_reader) {
      EXPECT_LE(read_page(open_reader), 0);
    }
    open_reader.reset();
    sweep();
    expect_nothing_left();
  }
}

TEST_P(Death, OfTheGuardianLeavesTheDeviceInService) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  UniqueFd open_reader = reader(daemon);
  kill(daemon.guardian(), SIGKILL);
  EXPECT_EQ(daemon.wait(), -SIGKILL);
  EXPECT_TRUE(eventually([&] {
    return daemon.said().find("the guardian of " + name_ + " is gone; process ") !=
           std::string::npos;
  })) << daemon.said();
  EXPECT_TRUE(call({{"op", "stat"}}).value("ok", false));
  sweep();  // touches nothing of a living worker
  EXPECT_TRUE(call({{"op", "stat"}}).value("ok", false));
  DaemonProcess second(arguments());
  EXPECT_THAT(second.ready().dump(), HasSubstr("is there already"));
  EXPECT_EQ(second.wait(), 1);
  if (open_reader) {
    EXPECT_EQ(read_page(open_reader), 4096);
  }
  open_reader.reset();
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  EXPECT_TRUE(eventually([&] { return !is_running(daemon.worker()); }));
}

TEST_P(Death, OfBothIsCleanedUpByTheNextGuardian) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  UniqueFd open_reader = reader(daemon);
  kill(daemon.guardian(), SIGKILL);
  kill(daemon.worker(), SIGKILL);
  EXPECT_EQ(daemon.wait(), -SIGKILL);
  EXPECT_TRUE(eventually([&] { return !is_running(daemon.worker()); }));
  if (open_reader) {
    EXPECT_LE(read_page(open_reader), 0);
  }
  open_reader.reset();
  expect_nothing_left();
}

TEST_P(Death, OfAllIsCleanedUpByASweep) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  UniqueFd open_reader = reader(daemon);
  daemon.kill_all();
  if (open_reader) {
    EXPECT_LE(read_page(open_reader), 0);
  }
  open_reader.reset();
  sweep();
}

TEST_F(DeathAlone, OfAllIsCleanedUpByTheNextStart) {
  {
    DaemonProcess daemon(arguments());
    ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
    daemon.kill_all();
  }
  DaemonProcess next(arguments());
  EXPECT_TRUE(next.ready().value("ok", false)) << next.said();
  EXPECT_THAT(next.said(), HasSubstr("removed what a dead daemon left of " + name_));
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  EXPECT_EQ(next.wait(), 0);
}

TEST_F(DeathAlone, OfGuardianAfterGuardianLeavesTheDeviceInService) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  pid_t guardian = daemon.guardian();
  for (int i = 0; i < 5; ++i) {
    const pid_t dead = guardian;
    kill(dead, SIGKILL);
    EXPECT_TRUE(eventually([&] {
      auto board = find_board(name_);
      EXPECT_TRUE(board) << board.error().message;
      if (!board) return true;
      guardian = (*board)->guardian.load().pid;
      release_board(*board);
      return guardian != dead;
    }));
    EXPECT_TRUE(call({{"op", "stat"}}).value("ok", false));
  }
  kill(guardian, SIGTERM);
  EXPECT_TRUE(eventually([&] { return !is_running(daemon.worker()); }));
  EXPECT_TRUE(eventually([&] { return !find_board(name_); }));
}

TEST_F(DeathAlone, OfTheWorkerUnderSwapLetsSwapoffThrough) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  ASSERT_EQ(shell("mkswap -q " + daemon.path()), 0);
  ASSERT_EQ(swapon(daemon.path().c_str(), 0), 0);
  kill(daemon.worker(), SIGKILL);
  EXPECT_EQ(daemon.wait(), 1);
  EXPECT_THAT(daemon.said(), HasSubstr("cannot remove what is left of " + name_));
  EXPECT_THAT(daemon.said(), HasSubstr("pleatd --sweep"));
  EXPECT_EQ(swapoff(daemon.path().c_str()), 0);
  sweep();
}

}  // namespace
}  // namespace pleat::daemon
