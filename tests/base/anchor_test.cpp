// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/anchor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/page.h"
#include "base/unique_fd.h"

namespace pleat {
namespace {

// A memfd can be sealed against writing once no process has it mapped for that.
bool is_mapped(const UniqueFd& memory) {
  return fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE) != 0 && errno == EBUSY;
}

// 10 s at most.
template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    usleep(10'000);
  }
  return false;
}

struct Process {
  pid_t parent = 0;
  std::string name;
  char state = 0;
};

Process look_at(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  Process process;
  pid_t number = 0;
  file >> number >> process.name >> process.state >> process.parent;
  return process;
}

pid_t child_of(pid_t parent) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto pid = static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    if (pid > 0 && look_at(pid).parent == parent) return pid;
  }
  return 0;
}

// A process with an anchor, two mapped files and a pipe, which it has open.
class Anchor : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    reader_.reset(ends[0]);
    UniqueFd writer(ends[1]);
    process_ = fork();
    ASSERT_GE(process_, 0);
    if (process_ == 0) become_anchored(writer.get());
    char told = 0;
    ASSERT_EQ(read(reader_.get(), &told, 1), 1);
    ASSERT_EQ(told, 1) << "the anchor could not be made";
    ASSERT_TRUE(eventually([&] { return (anchor_ = child_of(process_)) != 0; }));
    ASSERT_TRUE(eventually([&] { return look_at(anchor_).name == "(pleatd-anchor)"; }));
  }
  void TearDown() override {
    if (process_ > 0) kill(process_, SIGKILL);
    if (anchor_ > 0) kill(anchor_, SIGKILL);
    while (waitpid(-1, nullptr, 0) > 0) {
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  }

  [[noreturn]] void become_anchored(int writer) {
    static MappedFile file;
    const auto map = [](const UniqueFd& memory) {
      return mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
    };
    const void* const store = map(store_);
    file = {map(device_), kPageSize};
    const bool good = store != MAP_FAILED && file.address != MAP_FAILED && make_anchor();
    unmap_at_end(file);
    const char told = good ? 1 : 2;
    if (write(writer, &told, 1) != 1) _exit(1);
    while (true) pause();
  }

  // Whether every process that had the pipe's other end has closed it.
  bool is_closed() {
    pollfd entry{reader_.get(), POLLIN, 0};
    return poll(&entry, 1, 10'000) == 1 && (entry.revents & POLLHUP) != 0;
  }

  UniqueFd store_ = make_memory();
  UniqueFd device_ = make_memory();
  UniqueFd reader_;
  pid_t process_ = -1;
  pid_t anchor_ = -1;

 private:
  static UniqueFd make_memory() {
    UniqueFd memory(memfd_create("anchor_test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(ftruncate(memory.get(), kPageSize), 0);
    return memory;
  }
};

TEST_F(Anchor, HasTheMemoryUntilItRunsAndNoneOfTheFiles) {
  kill(anchor_, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return look_at(anchor_).state == 'T'; }));
  kill(process_, SIGKILL);
  // All that a successor waits for, while the memory is still there.
  EXPECT_TRUE(is_closed());
  EXPECT_EQ(waitpid(process_, nullptr, 0), process_);
  process_ = -1;
  EXPECT_TRUE(is_mapped(store_));
  EXPECT_TRUE(is_mapped(device_));
  kill(anchor_, SIGCONT);
  EXPECT_EQ(waitpid(anchor_, nullptr, 0), anchor_);
  anchor_ = -1;
  EXPECT_FALSE(is_mapped(store_));
  EXPECT_FALSE(is_mapped(device_));
}

TEST_F(Anchor, MayDieFirst) {
  kill(anchor_, SIGKILL);
  ASSERT_TRUE(eventually([&] { return look_at(anchor_).state == 'Z'; }));
  EXPECT_TRUE(is_mapped(store_));
  kill(process_, SIGKILL);
  EXPECT_TRUE(is_closed());
  EXPECT_EQ(waitpid(process_, nullptr, 0), process_);
  EXPECT_EQ(waitpid(anchor_, nullptr, 0), anchor_);
  process_ = anchor_ = -1;
}

}  // namespace
}  // namespace pleat
