// SPDX-License-Identifier: MIT OR Apache-2.0
// Every failure at start is one line that says what to do, exit 1, and leaves nothing behind.
#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "daemon/daemon_process.h"
#include "daemon/procfs.h"

namespace pleat::daemon {
namespace {

using testing::HasSubstr;

constexpr int kCapIpcLock = 14;  // linux/capability.h

class StartFailure : public DaemonTest {
 protected:
  // The message that standard error and the ready line agree on.
  std::string message(const std::vector<std::string>& words,
                      const std::function<void()>& prepare = {}, int code = 0) {
    DaemonProcess daemon(words, prepare);
    EXPECT_EQ(daemon.ready().value("ok", true), false);
    const std::string text = daemon.ready().value("error", "no ready line");
    EXPECT_EQ(daemon.wait(), 1);
    if (code != 0) {
      EXPECT_EQ(daemon.ready().value("code", 0), code);
    }
    std::string said = daemon.said();
    // A host without CAP_SYS_RESOURCE adds its warnings.
    EXPECT_THAT(said, testing::EndsWith("pleatd: " + text + "\n"));
    expect_nothing_left();
    return text;
  }
};

TEST_F(StartFailure, BadOptions) {
  EXPECT_THAT(message({"--name", "a/b", "--size", "1M"}), HasSubstr("bad name \"a/b\"; use"));
  EXPECT_THAT(message({"--name", name_, "--size", "0"}), HasSubstr("bad size 0; use a positive"));
  EXPECT_THAT(message({"--name", name_, "--size", "4097"}), HasSubstr("multiple of 4096"));
  EXPECT_THAT(message(arguments({"--depth", "0"})), HasSubstr("bad queue depth 0; use 1 to"));
}

TEST_F(StartFailure, NobodyIsToldToRunAsRoot) {
  EXPECT_EQ(message(
                arguments(),
                [] {
                  if (setgid(65534) != 0 || setuid(65534) != 0) _exit(125);
                },
                EPERM),
            "making a block device needs root; run as root");
}

TEST_F(StartFailure, NameTaken) {
  DaemonProcess first(arguments());
  ASSERT_TRUE(first.ready().value("ok", false)) << first.said();
  {
    DaemonProcess second(arguments());
    EXPECT_EQ(second.ready().value("error", ""),
              "a device named " + name_ +
                  " is there already; choose another name, or run: pleat remove " + name_);
    EXPECT_EQ(second.wait(), 1);
  }
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  EXPECT_EQ(first.wait(), 0);
}

TEST_F(StartFailure, UnknownCodec) {
  EXPECT_THAT(message(arguments({"--algorithm", "lzma"}), {}, EINVAL), HasSubstr("lzma"));
}

TEST_F(StartFailure, UnknownInstructionSet) {
  EXPECT_THAT(message(arguments(), [] { setenv("PLEAT_ISA", "mmx", 1); }), HasSubstr("mmx"));
}

TEST_F(StartFailure, SlotTableLargerThanMemory) {
  // 16 TiB need 32 GiB of slot words. A machine with more has nothing to refuse.
  if (*available_memory_bytes() > std::uint64_t{32} << 30) return;
  EXPECT_THAT(message({"--name", name_, "--size", "16T", "--transport", "loop"}, {}, ENOMEM),
              HasSubstr("not enough memory: a device of 16T needs 32G from the start"));
}

#ifndef __SANITIZE_ADDRESS__  // whose run-time takes mlockall() for itself and does nothing
TEST_F(StartFailure, MemoryThatCannotBeLocked) {
  EXPECT_THAT(
      message(arguments(),
              [] {
                const rlimit limit{65536, 65536};
                prctl(PR_CAPBSET_DROP, kCapIpcLock, 0, 0, 0);
                setrlimit(RLIMIT_MEMLOCK, &limit);
              }),
      HasSubstr("cannot lock memory; run as root or raise the limit (ulimit -l unlimited)"));
}
#endif

TEST_F(StartFailure, NumberOfALoopDeviceIsNotToBeChosen) {
  EXPECT_EQ(message(arguments({"--id", "3"}), {}, EINVAL),
            "the number of a loop device cannot be chosen; leave out --id (loop: asked for)");
}

TEST_F(StartFailure, NoUblkDriver) {
  if (access("/dev/ublk-control", F_OK) == 0) return;  // the guests test ublk itself
  EXPECT_THAT(message({"--name", name_, "--size", "1M", "--transport", "ublk"}), HasSubstr("ublk"));
}

TEST_F(StartFailure, RuntimeDirectoryThatCannotBeMade) {
  EXPECT_THAT(message(arguments(), [] { setenv("PLEAT_RUNTIME_DIR", "/proc/none/here", 1); }),
              HasSubstr("/proc/none/here"));
}

TEST_F(StartFailure, UsageIsStatus2) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{},
        {"--name", "x"},
        {"--bad"},
        {"--name", "x", "--size", "potato"},
        {"--name", "x", "--size", "ram/"},
        {"--name", "x", "--size", "1M", "--transport", "nbd"},
        {"--sweep", "--name", "x"},
        {"--take-up", "--size", "1M"}}) {
    DaemonProcess daemon(words);
    EXPECT_EQ(daemon.wait(), 2) << daemon.said();
  }
  DaemonProcess version({"--version"});
  EXPECT_EQ(version.wait(), 0);
}

}  // namespace
}  // namespace pleat::daemon
