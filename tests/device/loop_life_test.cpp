// SPDX-License-Identifier: MIT OR Apache-2.0
// How devices begin and end, and what is left of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <chrono>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "device/loop/fuse_file.h"
#include "device/loop/leftovers.h"
#include "device/loop/loop_device.h"
#include "device/loop_fixture.h"

namespace pleat::device {
namespace {

using testing::HasSubstr;

// Waits for a child at most 20 s; its wait status, or -1 where it did not end.
int wait_for(pid_t child) {
  for (int i = 0; i < 2000; ++i) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) return status;
    usleep(10'000);
  }
  return -1;
}

// A daemon of its own that serves the device `name` until it is killed; its process and device.
struct Daemon {
  explicit Daemon(const std::string& name) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    process = fork();
    if (process == 0) {
      const auto store = make_store();
      const auto transport = start_loop(*store, loop_options(name));
      const int id = transport ? (*transport)->info().id : -1;
      if (write(ends[1], &id, sizeof(id)) != sizeof(id)) _exit(1);
      for (;;) pause();
    }
    close(ends[1]);
    info.kind = TransportKind::kLoop;
    EXPECT_EQ(read(ends[0], &info.id, sizeof(info.id)), static_cast<ssize_t>(sizeof(info.id)));
    close(ends[0]);
    info.path = loop_path(info.id);
  }
  int kill_and_wait() const {
    kill(process, SIGKILL);
    return wait_for(process);
  }

  pid_t process = -1;
  TransportInfo info;
};

// Runs `body` in a child, whose mounts are its own; whether it returned true.
bool true_in_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      _exit(2);
    }
    _exit(body() ? 0 : 1);
  }
  return wait_for(child) == 0;
}

// Hides `path` behind /dev/null.
bool hide(const char* path) { return mount("/dev/null", path, nullptr, MS_BIND, nullptr) == 0; }

// Whether this process comes to have `count` threads and no more: one that was joined shows for a
// moment more, so that `count` itself may have one too many.
bool threads_become(std::size_t count) {
  constexpr int kTries = 200;
  for (int i = 0; i < kTries; ++i) {
    if (entries("/proc/self/task") <= count) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// Whether the error of a start contains all of `parts`, and the start left no descriptor and no
// thread.
bool fails_cleanly(const std::vector<std::string>& parts) {
  const auto store = make_store();
  const std::size_t descriptors = entries("/proc/self/fd");
  const std::size_t threads = entries("/proc/self/task");
  const auto result = start_loop(*store, loop_options("fails"));
  if (result) return false;
  bool good = result.error().message.find('\n') == std::string::npos;
  for (const auto& part : parts) {
    good = good && result.error().message.find(part) != std::string::npos;
  }
  if (!good) std::fprintf(stderr, "%s\n", result.error().message.c_str());
  return good && entries("/proc/self/fd") == descriptors && threads_become(threads) &&
         attached_loops("fails") == 0;
}

TEST(LoopLife, StartAndStopLeaveNothing) {
  const auto store = make_store();
  const std::size_t descriptors = entries("/proc/self/fd");
  const std::size_t threads = entries("/proc/self/task");
  for (const bool stops : {true, false}) {
    TransportOptions options = loop_options();
    options.queues = 3;
    auto transport = start_loop(*store, options);
    ASSERT_TRUE(transport.has_value()) << transport.error().message;
    const int id = (*transport)->info().id;
    EXPECT_EQ(backing_file(id), "/pleat-looptest");
    EXPECT_EQ((*transport)->info().queues, 3u);
    EXPECT_EQ((*transport)->queue_stats().size(), 3u);
    EXPECT_THAT((*transport)->info().features, testing::IsSupersetOf({"DIRECT_IO", "PUNCH_HOLE"}));
    if (stops) {
      const auto stopped = (*transport)->stop();
      EXPECT_TRUE(stopped.has_value()) << stopped.error().message;
    }
    transport.value().reset();
    EXPECT_EQ(backing_file(id), "");
    EXPECT_EQ(entries("/proc/self/fd"), descriptors);
    EXPECT_TRUE(threads_become(threads));
  }
}

std::string queue_file(int id, const std::string& name) {
  return "/sys/block/loop" + std::to_string(id) + "/queue/" + name;
}

unsigned queue_limit(int id, const std::string& name) {
  std::ifstream file(queue_file(id, name));
  unsigned value = 0;
  file >> value;
  return value;
}

bool set_queue_limit(int id, const std::string& name, unsigned value) {
  std::ofstream file(queue_file(id, name));
  return static_cast<bool>(file << value << std::flush);
}

// A loop device with a queue that is limited as the transport of `options` limits it, or a failure.
std::unique_ptr<Transport> start_limited(store::Store& store, const TransportOptions& options) {
  auto transport = start_loop(store, options);
  if (!transport) {
    ADD_FAILURE() << transport.error().message;
    return nullptr;
  }
  const int id = (*transport)->info().id;
  EXPECT_EQ(queue_limit(id, "nr_requests"), options.depth);
  EXPECT_LE(queue_limit(id, "max_sectors_kb"), 128u);
  return std::move(transport).value();
}

TEST(LoopLife, WhatIsInFlightIsLimitedWhileTheDeviceLives) {
  const auto store = make_store();
  TransportOptions options = loop_options();
  options.depth = 16;
  auto transport = start_limited(*store, options);
  ASSERT_NE(transport, nullptr);
  const int id = transport->info().id;
  ASSERT_TRUE(transport->stop().has_value());
  const unsigned requests = queue_limit(id, "nr_requests");
  const unsigned kib = queue_limit(id, "max_sectors_kb");
  EXPECT_GT(requests, 16u);

  // What a killed daemon has left is not taken for the kernel's own.
  ASSERT_TRUE(set_queue_limit(id, "nr_requests", 8));
  const bool has_default = set_queue_limit(id, "max_sectors_kb", 0);
  ASSERT_TRUE(set_queue_limit(id, "max_sectors_kb", 64));
  transport = start_limited(*store, options);
  ASSERT_NE(transport, nullptr);
  ASSERT_EQ(transport->info().id, id);
  ASSERT_TRUE(transport->stop().has_value());
  EXPECT_EQ(queue_limit(id, "nr_requests"), requests);
  EXPECT_EQ(queue_limit(id, "max_sectors_kb"), has_default ? kib : 64);
  set_queue_limit(id, "max_sectors_kb", kib);
}

TEST(LoopLife, TheFileIsMountedNowhere) {
  const Device device;
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string text{std::istreambuf_iterator<char>(mounts), {}};
  EXPECT_EQ(text.find("pleat"), std::string::npos);
}

TEST(LoopLife, TwoDevicesAtOnceKeepTheirOwnBytes) {
  const Device one(loop_options("one"));
  const Device two(loop_options("two"));
  ASSERT_NE(one.path(), two.path());
  const AlignedBytes page(kPageSize);
  const UniqueFd fds[] = {open_direct(one.path()), open_direct(two.path())};
  for (const int i : {0, 1}) {
    std::memset(page.data(), 0x11 + i, kPageSize);
    ASSERT_EQ(pwrite(fds[i].get(), page.data(), kPageSize, 8192), 4096);
  }
  for (const int i : {0, 1}) {
    ASSERT_EQ(pread(fds[i].get(), page.data(), kPageSize, 8192), 4096);
    EXPECT_EQ(page[100], static_cast<std::byte>(0x11 + i));
  }
}

TEST(LoopLife, ServingThreadsAreNamedAndMarked) {
  TransportOptions options = loop_options();
  options.queues = 2;
  const Device device(options);
  const auto threads = serving_threads();
  ASSERT_EQ(threads.size(), 2u);
  if (!options.io_flusher) {
    std::puts("this machine does not let a process mark I/O threads (no CAP_SYS_RESOURCE)");
    return;
  }
  for (const auto& thread : threads) {
    EXPECT_EQ(stat_field(thread / "stat", 9) & kIoFlusherFlags, kIoFlusherFlags);
  }
}

TEST(LoopLife, WithoutTheRightToMarkThreadsNothingStarts) {
  if (may_mark_io_threads()) {
    std::puts("this machine lets a process mark I/O threads");
    return;
  }
  const auto store = make_store();
  TransportOptions options = loop_options();
  options.io_flusher = true;
  const std::size_t descriptors = entries("/proc/self/fd");
  const auto result = start_loop(*store, options);
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message, HasSubstr("CAP_SYS_RESOURCE"));
  EXPECT_EQ(entries("/proc/self/fd"), descriptors);
  EXPECT_TRUE(serving_threads_end());
}

TEST(LoopStart, RefusesOptionsThatMakeNoDevice) {
  const auto store = make_store();
  TransportOptions none = loop_options();
  none.queues = 0;
  TransportOptions odd = loop_options();
  odd.block_bytes = 1000;
  const TransportOptions path = loop_options("../x");
  const TransportOptions unnamed = loop_options("");
  for (const TransportOptions& options : {none, odd, path, unnamed}) {
    const auto result = start_loop(*store, options);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, EINVAL);
  }
  TransportOptions many = loop_options();
  many.queues = 5;  // one more than the store has sessions for
  const auto result = start_loop(*store, many);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ENFILE);
  EXPECT_TRUE(serving_threads_end());
}

TEST(LoopStart, WithoutFuseSaysWhatToDo) {
  EXPECT_TRUE(true_in_child([] {
    return mount("none", "/dev", "tmpfs", 0, nullptr) == 0 &&
           mknod("/dev/loop-control", S_IFCHR | 0600, makedev(10, 237)) == 0 &&
           fails_cleanly({"/dev/fuse", "modprobe fuse"});
  }));
}

TEST(LoopStart, WithoutLoopSaysWhatToDo) {
  EXPECT_TRUE(true_in_child([] {
    return mount("none", "/dev", "tmpfs", 0, nullptr) == 0 &&
           fails_cleanly({"/dev/loop-control", "modprobe loop"});
  }));
}

TEST(LoopStart, WithoutALoopDeviceToUseSaysWhatToDo) {
  EXPECT_TRUE(true_in_child(
      [] { return hide("/dev/loop-control") && fails_cleanly({"no free loop device"}); }));
  EXPECT_TRUE(true_in_child([] {
    return mount("none", "/dev", "tmpfs", 0, nullptr) == 0 &&
           mknod("/dev/loop-control", S_IFCHR | 0600, makedev(10, 237)) == 0 &&
           mknod("/dev/fuse", S_IFCHR | 0600, makedev(10, 229)) == 0 &&
           fails_cleanly({"/dev/loop", "mknod"});
  }));
}

TEST(LoopStart, WithoutPrivilegeSaysWhatToDo) {
  EXPECT_TRUE(true_in_child([] {
    return setuid(65534) == 0 && fails_cleanly({"/dev/loop-control", "run as root"});
  }));
  EXPECT_TRUE(true_in_child([] {
    return chmod("/dev/loop-control", 0600) == 0 &&
           mount("none", "/dev", "tmpfs", 0, nullptr) == 0 &&
           mknod("/dev/loop-control", S_IFCHR | 0600, makedev(10, 237)) == 0 &&
           mknod("/dev/fuse", S_IFCHR | 0600, makedev(10, 229)) == 0 &&
           chmod("/dev/loop-control", 0666) == 0 && chmod("/dev/fuse", 0666) == 0 &&
           setuid(65534) == 0 && fails_cleanly({"run as root", "CAP_SYS_ADMIN"});
  }));
}

TEST(LoopAttach, AlsoWorksInTheStepsOfOlderKernels) {
  const auto store = make_store();
  auto file = FuseFile::create(*store, "pleat-steps", loop_options("steps"), {});
  ASSERT_TRUE(file.has_value()) << file.error().message;
  auto backing = (*file)->open_file();
  ASSERT_TRUE(backing.has_value()) << backing.error().message;
  LoopOptions options;
  options.tag = "pleat-steps";
  options.configure = false;
  auto device = LoopDevice::attach(backing->get(), options);
  ASSERT_TRUE(device.has_value()) << device.error().message;
  {
    const UniqueFd fd = open_direct(device->path());
    const AlignedBytes page(kPageSize);
    std::memset(page.data(), 0x33, kPageSize);
    EXPECT_EQ(pwrite(fd.get(), page.data(), kPageSize, 4096), 4096);
    EXPECT_EQ(store->stats().orig_data_size, kPageSize);
    loop_info64 info{};
    ASSERT_EQ(ioctl(fd.get(), LOOP_GET_STATUS64, &info), 0);
    EXPECT_NE(info.lo_flags & LO_FLAGS_AUTOCLEAR, 0u);
  }
  const auto detached = device->detach(5000);
  EXPECT_TRUE(detached.has_value()) << detached.error().message;
}

TEST(LoopEnd, AConnectionEndedFromOutsideIsReportedAndFailsEveryAccess) {
  const Device device;
  UniqueFd fd = open_direct(device.path());
  loop_info64 info{};
  ASSERT_EQ(ioctl(fd.get(), LOOP_GET_STATUS64, &info), 0);
  pollfd ended{device.transport->ended_fd(), POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 0), 0);

  EXPECT_TRUE(true_in_child([&info] {
    const std::string path = "/sys/fs/fuse/connections";
    if (mount("none", path.c_str(), "fusectl", 0, nullptr) != 0 && errno != EBUSY) return false;
    std::ofstream file(path + "/" + std::to_string(minor(info.lo_device)) + "/abort");
    return static_cast<bool>(file << "1" << std::flush);
  }));
  EXPECT_EQ(poll(&ended, 1, 5000), 1);
  const AlignedBytes page(kPageSize);
  EXPECT_EQ(pread(fd.get(), page.data(), kPageSize, 0), -1);
  EXPECT_EQ(errno, EIO);
  fd.reset();
  const auto stopped = device.transport->stop();
  EXPECT_TRUE(stopped.has_value()) << stopped.error().message;
}

// The last close of a block device writes its dirty pages, and the dying server is the one that
// would have to take them.
TEST(LoopEnd, AKilledDaemonWithDirtyPagesDiesAndItsDeviceGoes) {
  const Daemon daemon("dirty");
  ASSERT_GE(daemon.info.id, 0);
  {
    const UniqueFd fd(open(daemon.info.path.c_str(), O_RDWR | O_CLOEXEC));
    std::vector<char> bytes(4u << 20, 'x');
    ASSERT_EQ(write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    // The daemon dies while this descriptor is open, so that closing it here does not write.
    kill(daemon.process, SIGKILL);
    const int status = wait_for(daemon.process);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the daemon hangs: " << status;
  }
  const Daemon second("dirty2");
  ASSERT_GE(second.info.id, 0);
  {
    // Dirty pages that nobody but the daemon has a descriptor to: written with the last close.
    UniqueFd fd(open(second.info.path.c_str(), O_RDWR | O_CLOEXEC));
    std::vector<char> bytes(4u << 20, 'y');
    ASSERT_EQ(write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  const int status = second.kill_and_wait();
  ASSERT_TRUE(WIFSIGNALED(status)) << "the daemon hangs: " << status;
  for (const auto* info : {&daemon.info, &second.info}) {
    const auto removed = remove_leftovers(*info, info == &daemon.info ? "dirty" : "dirty2");
    EXPECT_TRUE(removed.has_value()) << removed.error().message;
  }
  EXPECT_EQ(attached_loops("dirty"), 0);
  EXPECT_EQ(attached_loops("dirty2"), 0);
}

// Where all threads of a process share their descriptors, a thread that waits for the device keeps
// the connection open that its serving threads, killed with it, have left.
TEST(LoopEnd, AKilledProcessThatUsesItsOwnDeviceDies) {
  for (int round = 0; round < 5; ++round) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t process = fork();
    if (process == 0) {
      const auto store = make_store();
      const auto transport = start_loop(*store, loop_options("selfuse"));
      if (!transport) _exit(1);
      const auto use = [&] {
        const UniqueFd fd = open_direct((*transport)->info().path);
        const AlignedBytes bytes(1u << 20);
        for (;;) {
          if (pwrite(fd.get(), bytes.data(), 1u << 20, 0) < 0 ||
              pread(fd.get(), bytes.data(), 1u << 20, 1 << 20) < 0) {
            _exit(2);
          }
        }
      };
      std::thread first(use);
      std::thread second(use);
      if (write(ends[1], "u", 1) != 1) _exit(3);
      use();
    }
    close(ends[1]);
    char byte = 0;
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    usleep(50'000);
    kill(process, SIGKILL);
    const int status = wait_for(process);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the process hangs: " << status;
    TransportInfo unknown;
    unknown.kind = TransportKind::kLoop;
    const auto removed = remove_leftovers(unknown, "selfuse");
    EXPECT_TRUE(removed.has_value()) << removed.error().message;
    EXPECT_EQ(attached_loops("selfuse"), 0);
  }
}

TEST(LoopEnd, LeftoversOfAKilledDaemonAreFoundByNameAndGoOnce) {
  const Daemon daemon("byname");
  ASSERT_TRUE(WIFSIGNALED(daemon.kill_and_wait()));
  TransportInfo unknown;
  unknown.kind = TransportKind::kLoop;
  for (int i = 0; i < 2; ++i) {
    const auto removed = remove_leftovers(unknown, "byname");
    EXPECT_TRUE(removed.has_value()) << removed.error().message;
    EXPECT_EQ(attached_loops("byname"), 0);
  }
}

TEST(LoopEnd, LeftoversInUseAreNamedAndGoWithTheirUser) {
  const Daemon daemon("inuse");
  UniqueFd user(open(daemon.info.path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(static_cast<bool>(user));
  ASSERT_TRUE(WIFSIGNALED(daemon.kill_and_wait()));
  const std::uint64_t start_ns = monotonic_ns();
  const auto removed = remove_leftovers(daemon.info, "inuse");
  EXPECT_LT(monotonic_ns() - start_ns, 10'000'000'000u);
  ASSERT_FALSE(removed.has_value());
  EXPECT_EQ(removed.error().code, EBUSY);
  EXPECT_THAT(removed.error().message, HasSubstr(daemon.info.path));
  user.reset();
  EXPECT_TRUE(remove_leftovers(daemon.info, "inuse").has_value());
  EXPECT_EQ(attached_loops("inuse"), 0);
}

TEST(LoopEnd, LeftoversOfAnotherNameAreLeftAlone) {
  const Device device(loop_options("mine"));
  EXPECT_TRUE(remove_leftovers(device.transport->info(), "another").has_value());
  EXPECT_EQ(attached_loops("mine"), 1);
  const UniqueFd fd = open_direct(device.path());
  const AlignedBytes page(kPageSize);
  EXPECT_EQ(pread(fd.get(), page.data(), kPageSize, 0), 4096);
}

TEST(LoopEnd, StopOfADeviceInUseIsBoundedAndSaysSo) {
  Device device;
  const UniqueFd user(open(device.path().c_str(), O_RDONLY | O_CLOEXEC));
  const std::uint64_t start_ns = monotonic_ns();
  const auto stopped = device.transport->stop();
  EXPECT_LT(monotonic_ns() - start_ns, 12'000'000'000u);
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().code, EBUSY);
  EXPECT_TRUE(serving_threads_end());
}

}  // namespace
}  // namespace pleat::device
