// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/process.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace pleat {
namespace {

// Runs `body` in a child, since what it sets cannot be undone; its exit status.
template <typename Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST(Process, IoFlusherIsSetOrRefusedInWords) {
  EXPECT_EQ(in_child([] {
              const auto result = set_io_flusher();
              if (result) return 0;
              return result.error().message.find("CAP_SYS_RESOURCE") != std::string::npos ? 0 : 1;
            }),
            0);
}

#ifndef __SANITIZE_ADDRESS__  // whose run-time takes mlockall() for itself and does nothing
std::string status_line(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line;
  }
  return "";
}

TEST(Process, MemoryIsLockedOrTheErrorSaysWhatToDo) {
  EXPECT_EQ(in_child([] {
              const auto result = lock_memory();
              if (!result)
                return result.error().message.find("ulimit") != std::string::npos ? 0 : 1;
              return status_line("VmLck:").find(" 0 kB") == std::string::npos ? 0 : 2;
            }),
            0);
}

TEST(Process, WithoutPrivilegeNothingIsLocked) {
  EXPECT_EQ(in_child([] {
              const rlimit none{0, 0};
              if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) return 1;
              if (geteuid() == 0 && setuid(65534) != 0) return 2;
              return lock_memory() ? 3 : 0;
            }),
            0);
}
#endif

TEST(Process, BackgroundWorkHasTheLowestPriorityButForItsLocks) {
  EXPECT_EQ(in_child([] {
              const auto policy = [] { return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK; };
              const int before = policy();
              {
                const BackgroundPriority priority;
                if (policy() != before) return 1;
              }
              if (!set_real_time()) return 0;  // it may not
              {
                BackgroundPriority priority;
                if (policy() != SCHED_BATCH || getpriority(PRIO_PROCESS, 0) != 19) return 2;
                priority.raise();
                if (policy() != SCHED_RR) return 3;
                priority.lower();
                if (policy() != SCHED_BATCH) return 4;
              }
              return policy() == SCHED_RR ? 0 : 5;
            }),
            0);
}

TEST(Process, WithoutPrivilegeNothingIsClaimed) {
  EXPECT_EQ(in_child([] {
              if (geteuid() == 0 && setuid(65534) != 0) return 2;
              if (set_io_flusher()) return 4;
              if (protect_from_oom_killer()) return 5;
              if (set_real_time() || set_real_time_of_all()) return 6;
              return 0;
            }),
            0);
}

}  // namespace
}  // namespace pleat
