// SPDX-License-Identifier: MIT OR Apache-2.0
// The main job on the loop transport: a program in a small memory cgroup swaps to the device, and
// every byte of it comes back. Global memory is not put under pressure.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>

#include <cstdlib>

#include "device/loop_fixture.h"

namespace pleat::device {
namespace {

constexpr std::uint64_t kLimitBytes = 64u << 20;
constexpr std::uint64_t kProgramBytes = 160u << 20;
constexpr std::uint64_t kSwapBytes = 256u << 20;
constexpr int kDiscardFreedPages = 0x40000;  // SWAP_FLAG_DISCARD_PAGES of include/linux/swap.h
constexpr int kStepTimeoutMs = 100'000;

bool write_file(const std::string& path, const std::string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// A memory cgroup below the root one, of version 1 or 2.
class MemoryGroup {
 public:
  // "" where the machine has no memory controller that may be used.
  static std::string find_parent() {
    if (access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0) {
      return "/sys/fs/cgroup/memory";
    }
    const std::string root = "/sys/fs/cgroup";
    std::ifstream controllers(root + "/cgroup.controllers");
    for (std::string name; controllers >> name;) {
      if (name == "memory" && write_file(root + "/cgroup.subtree_control", "+memory")) return root;
    }
    return "";
  }

  MemoryGroup() : path_(find_parent() + "/pleat-test-" + std::to_string(getpid())) {
    mkdir(path_.c_str(), 0755);
  }
  const std::string& path() const { return path_; }
  bool set_limit(std::uint64_t bytes) const {
    const bool first_version = access((path_ + "/memory.limit_in_bytes").c_str(), F_OK) == 0;
    return write_file(path_ + (first_version ? "/memory.limit_in_bytes" : "/memory.max"),
                      std::to_string(bytes));
  }

 private:
  std::string path_;
};

// The program that swaps. It obeys a byte at a time and answers each with one: 'w' writes all its
// memory, 'v' verifies and changes it, 'q' ends it.
class Program {
 public:
  explicit Program(const std::string& group) {
    int down[2];
    int up[2];
    EXPECT_EQ(pipe2(down, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(up, O_CLOEXEC), 0);
    // Before there is a device, so that this process holds no descriptor of it.
    process_ = fork();
    if (process_ == 0) {
      close(down[1]);
      close(up[0]);
      run(group, down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    commands_.reset(down[1]);
    answers_.reset(up[0]);
  }
  ~Program() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  pid_t process() const { return process_; }

  // The answer: 'k' for all is well; 0 where there was none in time.
  char obey(char command) const {
    char answer = 0;
    pollfd waiting{answers_.get(), POLLIN, 0};
    if (write(commands_.get(), &command, 1) != 1 || poll(&waiting, 1, kStepTimeoutMs) != 1 ||
        read(answers_.get(), &answer, 1) != 1) {
      return 0;
    }
    return answer;
  }

 private:
  static constexpr std::size_t kWordsPerPage = kPageSize / sizeof(std::uint64_t);

  // Word `index` of page `page` after `round` changes. A quarter of the pages is same-filled, a
  // quarter does not compress, the rest does.
  static std::uint64_t word(std::size_t page, std::size_t index, std::uint64_t round) {
    const std::uint64_t mixed = (page * kWordsPerPage + index + 1) * 0x9e3779b97f4a7c15u;
    if (page % 4 == 0) return page + round;
    if (page % 4 == 1) return (mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9u + round;
    return index % 8 == 0 ? mixed + round : round;
  }

  [[noreturn]] static void run(const std::string& group, int commands, int answers) {
    if (!write_file(group + "/cgroup.procs", std::to_string(getpid()))) _exit(1);
    constexpr std::size_t kPages = kProgramBytes / kPageSize;
    auto* const words = static_cast<std::uint64_t*>(
        mmap(nullptr, kProgramBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::uint64_t round = 0;
    for (char command = 0; read(commands, &command, 1) == 1 && command != 'q';) {
      char answer = 'k';
      if (command == 'v') ++round;
      for (std::size_t i = 0; i < kPages; ++i) {
        // Neighbours are visited far apart, so that reading ahead is of no use.
        const std::size_t page = i * 7919 % kPages;
        std::uint64_t* const at = words + page * kWordsPerPage;
        for (std::size_t j = 0; j < kWordsPerPage; ++j) {
          if (command == 'v' && at[j] != word(page, j, round - 1)) answer = 'b';
          at[j] = word(page, j, round);
        }
      }
      if (write(answers, &answer, 1) != 1) _exit(1);
    }
    _exit(0);
  }

  pid_t process_ = -1;
  UniqueFd commands_;
  UniqueFd answers_;
};

std::uint64_t swapped_bytes(const std::string& device) {
  std::ifstream swaps("/proc/swaps");
  std::string path;
  std::string type;
  std::uint64_t size_kib = 0;
  std::uint64_t used_kib = 0;
  std::getline(swaps, path);
  while (swaps >> path >> type >> size_kib >> used_kib) {
    if (path == device) return used_kib << 10;
    std::getline(swaps, path);
  }
  return 0;
}

// Undoes everything should this process die: ends the program, then swapoff, then the cgroup.
class Janitor {
 public:
  Janitor(pid_t program, std::string group) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t janitor = fork();
    if (janitor == 0) {
      setsid();  // out of reach of what ends this process and its group
      signal(SIGTERM, SIG_IGN);
      close(ends[1]);
      char device[64] = {};
      if (read(ends[0], device, sizeof(device) - 1) > 0) {
        char end = 0;
        while (read(ends[0], &end, 1) > 0) {
        }
        kill(program, SIGKILL);
        swapoff(device);
        for (int i = 0; i < 500 && rmdir(group.c_str()) != 0 && errno == EBUSY; ++i) usleep(10'000);
      }
      _exit(0);
    }
    close(ends[0]);
    tell_.reset(ends[1]);
    process_ = janitor;
  }
  void watch(const std::string& device) const {
    EXPECT_GT(write(tell_.get(), device.c_str(), device.size()), 0);
  }
  ~Janitor() {
    tell_.reset();
    waitpid(process_, nullptr, 0);
  }

 private:
  pid_t process_;
  UniqueFd tell_;
};

TEST(LoopSwap, AProgramInASmallCgroupGetsEveryByteBack) {
  const MemoryGroup group;
  ASSERT_TRUE(group.set_limit(kLimitBytes)) << group.path();
  const auto store = make_store(kSwapBytes);
  const Program program(group.path());
  // Declared behind the program and before the device: its clean-up needs the device, and comes
  // first where this process dies.
  std::unique_ptr<Transport> transport;
  {
    const Janitor janitor(program.process(), group.path());
    TransportOptions options = loop_options("swaptest");
    options.queues = 2;
    auto started = start_loop(*store, options);
    ASSERT_TRUE(started.has_value()) << started.error().message;
    transport = std::move(started).value();
    const std::string device = transport->info().path;
    janitor.watch(device);
    ASSERT_EQ(std::system(("timeout 20 mkswap " + device + " >/dev/null").c_str()), 0);
    ASSERT_EQ(swapon(device.c_str(), SWAP_FLAG_DISCARD | kDiscardFreedPages), 0)
        << std::strerror(errno);

    ASSERT_EQ(program.obey('w'), 'k');
    EXPECT_GT(swapped_bytes(device), kProgramBytes - kLimitBytes - (16u << 20));
    EXPECT_GT(store->stats().orig_data_size, kProgramBytes - kLimitBytes - (16u << 20));
    EXPECT_GT(store->stats().same_pages, 0u);
    EXPECT_GT(store->stats().huge_pages, 0u);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(program.obey('v'), 'k');

    // Everything back into memory, for which the limit has to make room.
    ASSERT_TRUE(group.set_limit(4 * kProgramBytes));
    ASSERT_EQ(swapoff(device.c_str()), 0) << std::strerror(errno);
    EXPECT_EQ(program.obey('v'), 'k');
    EXPECT_GT(store->stats().notify_free, 0u) << "swap with discard frees no page of the store";
    EXPECT_EQ(store->stats().failed_reads, 0u);
    // A write that finds no memory ready fails, and the kernel keeps the page; no other may.
    EXPECT_EQ(store->stats().failed_writes, store->stats().no_reserve_writes);
  }
  const auto stopped = transport->stop();
  EXPECT_TRUE(stopped.has_value()) << stopped.error().message;
}

}  // namespace
}  // namespace pleat::device

int main(int argc, char** argv) {
  if (const auto probed = pleat::device::probe_loop(); !probed) {
    std::printf("skipped: %s\n", probed.error().message.c_str());
    return 77;
  }
  if (pleat::device::MemoryGroup::find_parent().empty()) {
    std::puts("skipped: no memory cgroup controller here");
    return 77;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
