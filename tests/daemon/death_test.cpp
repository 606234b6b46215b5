// SPDX-License-Identifier: MIT OR Apache-2.0
// What dies how, and what is left: nothing, or what a sweep removes (docs/reliability.md).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "control/socket.h"
#include "daemon/board.h"
#include "daemon/daemon_process.h"
#include "device/transport.h"

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

// A device whose workers succeed one another, where the kernel can have one.
class Succession : public Death {
 protected:
  void SetUp() override {
    auto connection = device::open_loop_connection(1);
    if (connection) return;
    ASSERT_EQ(connection.error().code, EOPNOTSUPP) << connection.error().message;
    GTEST_SKIP() << connection.error().message;
  }
  // Fills the device's first MiB with bytes of its own, past the page cache unless told otherwise.
  static void fill(const std::string& path, char byte, const std::string& flags = "oflag=direct") {
    EXPECT_EQ(shell("head -c 1M /dev/zero | tr \"\\0\" " + std::string(1, byte) +
                    " | dd of=" + path + " bs=64k iflag=fullblock " + flags + " 2>/dev/null"),
              0);
  }
  static void expect_filled(const std::string& path, char byte) {
    EXPECT_EQ(
        shell("test \"$(dd if=" + path + " bs=64k count=16 iflag=direct 2>/dev/null | tr -d " +
              std::string(1, byte) + " | wc -c)\" = 0"),
        0);
    EXPECT_EQ(shell("test \"$(dd if=" + path +
                    " bs=64k count=16 iflag=direct 2>/dev/null | wc -c)\" = 1048576"),
              0);
  }
  pid_t worker() const {
    const auto status = call({{"op", "stat"}});
    return status.contains("status") ? status["status"].value("pid", -1) : -1;
  }
  void wait_for_stand_bys() const {
    EXPECT_TRUE(eventually([&] {
      const auto status = call({{"op", "stat"}});
      return status.contains("status") && status["status"].value("stand_bys", 0) == 2;
    }));
  }
  // Once somebody else than `last` serves.
  void wait_for_successor(pid_t last) const {
    EXPECT_TRUE(eventually([&] {
      auto answer = control::call(name_, {{"op", "stat"}}, 1000);
      return answer && (*answer)["status"].value("pid", last) != last;
    }));
  }
};

INSTANTIATE_TEST_SUITE_P(, Death, testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "WithAReader" : "Idle";
});

INSTANTIATE_TEST_SUITE_P(, Succession, testing::Bool(), [](const auto& parameter) {
  return parameter.param ? "WithAReader" : "Idle";
});

TEST_P(Succession, OfWorkersKeepsEveryPage) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  UniqueFd open_reader = reader(daemon);
  fill(daemon.path(), 'a');
  // A stopped one is found out by its silence.
  for (const int signal : {SIGKILL, SIGSEGV, SIGSTOP}) {
    wait_for_stand_bys();
    const pid_t last = worker();
    kill(last, signal);
    expect_filled(daemon.path(), 'a');
    wait_for_successor(last);
  }
  EXPECT_THAT(daemon.said(), HasSubstr("ms after its worker ended; no page is lost"));
  if (open_reader) {
    EXPECT_EQ(read_page(open_reader), 4096);
  }
  open_reader.reset();
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  EXPECT_EQ(daemon.wait(), 0);
}

// A worker that has the device open last writes what is dirty before it is dead, and so never is.
TEST_P(Succession, OfAWorkerWithDirtyPagesShowsNobodyAnError) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  UniqueFd open_reader = reader(daemon);
  for (const char byte : {'g', 'h'}) {
    wait_for_stand_bys();
    const pid_t last = worker();
    fill(daemon.path(), byte, "");
    kill(last, SIGKILL);
    wait_for_successor(last);
    expect_filled(daemon.path(), byte);
  }
  open_reader.reset();
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  EXPECT_EQ(daemon.wait(), 0);
}

// What was in flight at the death is done by the successor: nobody sees an error.
TEST_P(Succession, InTheMidstOfWritesShowsNobodyAnError) {
  DaemonProcess daemon(arguments({"--queues", "2"}));
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  UniqueFd open_reader = reader(daemon);
  for (const char byte : {'b', 'c', 'd', 'e', 'f'}) {
    wait_for_stand_bys();
    const pid_t last = worker();
    const pid_t killer = fork();
    if (killer == 0) {
      usleep(3000 * static_cast<useconds_t>(byte - 'a'));
      kill(last, SIGKILL);
      _exit(0);
    }
    for (int round = 0; round < 3; ++round) {
      fill(daemon.path(), byte);
      expect_filled(daemon.path(), byte);
    }
    EXPECT_EQ(waitpid(killer, nullptr, 0), killer);
    wait_for_successor(last);
  }
  open_reader.reset();
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  EXPECT_EQ(daemon.wait(), 0);
}

TEST_P(Succession, OfGuardianAndWorkerKeepsEveryPage) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  UniqueFd open_reader = reader(daemon);
  fill(daemon.path(), 'g');
  wait_for_stand_bys();
  const pid_t last = daemon.worker();
  kill(daemon.guardian(), SIGKILL);
  kill(last, SIGKILL);
  EXPECT_EQ(daemon.wait(), -SIGKILL);
  expect_filled(daemon.path(), 'g');
  wait_for_successor(last);
  open_reader.reset();
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
}

TEST_P(Succession, OfDaemonsKeepsEveryPage) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  UniqueFd open_reader = reader(daemon);
  fill(daemon.path(), 'h');
  DaemonProcess next({"--succeed", name_});
  ASSERT_TRUE(next.ready().value("ok", false)) << next.said();
  EXPECT_EQ(daemon.wait(), 0);
  expect_filled(daemon.path(), 'h');
  // Its workers too are succeeded.
  wait_for_stand_bys();
  kill(next.worker(), SIGKILL);
  expect_filled(daemon.path(), 'h');
  wait_for_successor(next.worker());
  open_reader.reset();
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  EXPECT_EQ(next.wait(), 0);
}

TEST_P(Death, OfTheWorkerEndsTheDaemonInWords) {
  for (const int signal : {SIGKILL, SIGSEGV}) {
    DaemonProcess daemon(arguments(), deny_clones);
    ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
    EXPECT_THAT(daemon.said(),
                HasSubstr("the pages of " + name_ + " are lost if its worker dies: "));
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
  DaemonProcess daemon(arguments(), deny_clones);
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
  DaemonProcess daemon(arguments(), deny_clones);
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
