// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/procfs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "daemon/fake_roots.h"

namespace pleat::daemon {
namespace {

// /proc/PID/stat of a process in `state` that started at `start`, a child of `parent`.
std::string stat_line(const std::string& name, char state, int start, pid_t parent = 7,
                      int threads = 1) {
  std::string line = "41 (" + name + ") " + state + " " + std::to_string(parent);
  for (int field = 5; field < 20; ++field) line += " 7";
  line += " " + std::to_string(threads) + " 0";
  return line + " " + std::to_string(start) + " 0 0\n";
}

TEST(Procfs, AProcessIsTheSameOnlyWithItsStartTime) {
  FakeRoots fake;
  fake.file("proc/41/stat", stat_line("a) R 1 (b", 'S', 900));
  EXPECT_EQ(*process_id(41, fake.roots()), (ProcessId{41, 900}));
  EXPECT_TRUE(is_alive({41, 900}, fake.roots()));
  EXPECT_FALSE(is_alive({41, 901}, fake.roots()));
  EXPECT_FALSE(is_alive({42, 900}, fake.roots()));
  EXPECT_FALSE(is_alive({0, 0}, fake.roots()));
  EXPECT_EQ(process_id(42, fake.roots()).error().code, ESRCH);
}

TEST(Procfs, ACgroupIsJoinedThroughTheUnifiedHierarchy) {
  FakeRoots fake;
  fake.file("proc/41/cgroup", "3:memory:/old\n0::/system.slice/pleatd\n");
  fake.file("proc/42/cgroup", "3:memory:/old\n");
  fake.file("proc/43/cgroup", "0::/elsewhere\n");
  fake.file("sys/fs/cgroup/system.slice/pleatd/cgroup.procs", "");
  EXPECT_TRUE(join_cgroup_of(41, fake.roots()));
  std::ifstream joined(fake.roots().sys + "/fs/cgroup/system.slice/pleatd/cgroup.procs");
  std::string text;
  std::getline(joined, text);
  EXPECT_EQ(text, "0");
  EXPECT_TRUE(join_cgroup_of(42, fake.roots()));  // there is nothing to join
  EXPECT_TRUE(join_cgroup_of(43, fake.roots()));
  EXPECT_FALSE(join_cgroup_of(44, fake.roots()));
}

TEST(Procfs, ACgroupIsSharedOnlyWhereAllHierarchiesSaySo) {
  FakeRoots fake;
  fake.file("proc/self/cgroup", "1:memory:/a\n0::/b\n");
  fake.file("proc/7/cgroup", "1:memory:/a\n0::/b\n");
  fake.file("proc/8/cgroup", "1:memory:/a\n0::/c\n");
  EXPECT_TRUE(shares_cgroup_with(7, fake.roots()));
  EXPECT_FALSE(shares_cgroup_with(8, fake.roots()));
  EXPECT_FALSE(shares_cgroup_with(9, fake.roots()));
}

TEST(Procfs, AZombieIsNotAlive) {
  FakeRoots fake;
  fake.file("proc/41/stat", stat_line("gone", 'Z', 900));
  EXPECT_FALSE(is_alive({41, 900}, fake.roots()));
  // Its main thread is gone, and another one waits for a disk.
  fake.file("proc/41/stat", stat_line("going", 'Z', 900, 7, 2));
  EXPECT_TRUE(is_alive({41, 900}, fake.roots()));
}

TEST(Procfs, ThisProcessIsAliveAndAReapedChildIsNot) {
  const auto self = process_id(getpid());
  ASSERT_TRUE(self);
  EXPECT_TRUE(is_alive(*self));
  const pid_t child = fork();
  if (child == 0) _exit(0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  const auto dead = process_id(child);
  ASSERT_TRUE(dead);
  EXPECT_FALSE(is_alive(*dead));
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(is_alive(*dead));
}

TEST(Procfs, MemoryIsReadInBytes) {
  FakeRoots fake;
  fake.file("proc/meminfo", "MemTotal: 5 kB\nMemAvailable:     123 kB\n");
  fake.file("proc/41/smaps_rollup", "0-1 ---p [rollup]\nRss: 9 kB\nPss:    7 kB\nPss_Anon: 1 kB\n");
  EXPECT_EQ(*available_memory_bytes(fake.roots()), 123u * 1024);
  EXPECT_EQ(*pss_bytes(41, fake.roots()), 7u * 1024);
  EXPECT_FALSE(pss_bytes(42, fake.roots()));
}

TEST(Procfs, MissingKeysAreErrorsAndNotZero) {
  FakeRoots fake;
  fake.file("proc/meminfo", "MemTotal: 5 kB\n");
  EXPECT_EQ(available_memory_bytes(fake.roots()).error().code, EBADMSG);
}

TEST(Procfs, NamesComeWithoutTheNewline) {
  FakeRoots fake;
  fake.file("proc/41/comm", "dd\n");
  EXPECT_EQ(process_name(41, fake.roots()), "dd");
  EXPECT_EQ(process_name(42, fake.roots()), "?");
}

}  // namespace
}  // namespace pleat::daemon
