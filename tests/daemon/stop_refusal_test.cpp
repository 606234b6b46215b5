// SPDX-License-Identifier: MIT OR Apache-2.0
// A device in use is never taken away: the stop is refused in words, and service goes on.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/swap.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "daemon/daemon_process.h"

namespace pleat::daemon {
namespace {

using testing::HasSubstr;

class StopRefusal : public DaemonTest {};

TEST_F(StopRefusal, WhileAFileSystemIsMounted) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  const std::string folder = runtime_.path() + ".mnt";
  std::filesystem::create_directory(folder);
  ASSERT_EQ(shell("mkfs.ext4 -q " + daemon.path()), 0);
  ASSERT_EQ(shell("mount " + daemon.path() + " " + folder), 0);
  EXPECT_EQ(refusal({{"op", "stop"}}),
            daemon.path() + " is mounted on " + folder + "; run: umount " + folder);
  EXPECT_EQ(shell("echo text > " + folder + "/file && sync " + folder + "/file"), 0);
  EXPECT_EQ(shell("umount " + folder), 0);
  std::filesystem::remove(folder);
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
}

TEST_F(StopRefusal, WhileItIsSwap) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  ASSERT_EQ(shell("mkswap -q " + daemon.path()), 0);
  ASSERT_EQ(swapon(daemon.path().c_str(), 0), 0);
  const std::string line = daemon.path() + " is in use as swap; run: swapoff " + daemon.path() +
                           " (or pleat remove " + name_ + " --swapoff)";
  EXPECT_EQ(refusal({{"op", "stop"}}), line);
  kill(daemon.guardian(), SIGTERM);
  EXPECT_TRUE(eventually([&] { return daemon.said().find(line + "\n") != std::string::npos; }))
      << daemon.said();
  EXPECT_TRUE(is_running(daemon.worker()));
  EXPECT_THAT(slurp("/proc/swaps"), HasSubstr(daemon.path()));
  ASSERT_EQ(swapoff(daemon.path().c_str()), 0);
  kill(daemon.guardian(), SIGTERM);
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
}

TEST_F(StopRefusal, WhileAProgramReadsItAndNotAMomentLonger) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  UniqueFd reader(open(daemon.path().c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(reader);
  EXPECT_THAT(
      refusal({{"op", "stop"}}),
      HasSubstr("is open in process " + std::to_string(getpid()) + " (pleatd_test); run: kill"));
  // One that closes it in time is waited for.
  std::thread closer([&] {
    usleep(300'000);
    reader.reset();
  });
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  closer.join();
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
}

}  // namespace
}  // namespace pleat::daemon
