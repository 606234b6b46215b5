// SPDX-License-Identifier: MIT OR Apache-2.0
// Devices come, go, and fail to come, on the real driver; whatever happens, nothing is left.
#include <gmock/gmock.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "base/clock.h"
#include "base/task_stat.h"
#include "device/ublk/control.h"
#include "device/ublk/ublk_transport.h"
#include "device/ublk_fixture.h"

namespace pleat::device {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Runs `body` in a child, for what changes the whole process; its exit status, or 256 and the
// signal.
template <typename Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

class UblkLife : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(ublk_traces(), IsEmpty()); }
  void TearDown() override {
    EXPECT_THAT(ublk_traces(), IsEmpty());
    EXPECT_TRUE(queue_threads_end());
  }
};

TEST_F(UblkLife, ProbeSucceeds) {
  const auto result = probe_ublk();
  EXPECT_TRUE(result) << result.error().message;
}

TEST_F(UblkLife, StartAndStopAgainAndAgain) {
  for (int turn = 0; turn < 20; ++turn) {
    Device device;
    ASSERT_TRUE(device.transport);
    EXPECT_EQ(device.path(), "/dev/ublkb0") << "a number was not given back";
    EXPECT_FALSE(is_readable(device.transport->ended_fd(), 0));
    const auto stopped = device.transport->stop();
    EXPECT_TRUE(stopped) << stopped.error().message;
    EXPECT_THAT(ublk_traces(), IsEmpty());
  }
}

TEST_F(UblkLife, DestructorStopsTheDevice) {
  { Device device; }
  EXPECT_THAT(ublk_traces(), IsEmpty());
}

TEST_F(UblkLife, NumberIsAsAskedAndATakenOneIsRefused) {
  TransportOptions options;
  options.id = 5;
  Device device(options);
  EXPECT_EQ(device.path(), "/dev/ublkb5");
  EXPECT_EQ(device.id(), 5);
  auto store = make_store();
  const auto second = start_ublk(*store, options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, EEXIST);
  EXPECT_THAT(second.error().message, HasSubstr("number 5 is taken"));
  // The refusal did the first no harm.
  const UniqueFd fd = open_direct(device.path());
  Buffer buffer(kPageSize);
  EXPECT_EQ(pread(fd.get(), buffer.data(), kPageSize, 0), static_cast<ssize_t>(kPageSize));
}

TEST_F(UblkLife, TwoDevicesDoNotMixUpTheirData) {
  Device first, second;
  ASSERT_NE(first.path(), second.path());
  const UniqueFd a = open_direct(first.path());
  const UniqueFd b = open_direct(second.path());
  Buffer buffer(kPageSize), expected(kPageSize);
  for (std::uint32_t page = 0; page < 64; ++page) {
    const auto offset = static_cast<off_t>(page * kPageSize);
    fill(buffer.data(), kPageSize, page);
    ASSERT_EQ(pwrite(a.get(), buffer.data(), kPageSize, offset), ssize_t{kPageSize});
    fill(buffer.data(), kPageSize, page + 1000);
    ASSERT_EQ(pwrite(b.get(), buffer.data(), kPageSize, offset), ssize_t{kPageSize});
  }
  for (std::uint32_t page = 0; page < 64; ++page) {
    const auto offset = static_cast<off_t>(page * kPageSize);
    fill(expected.data(), kPageSize, page);
    ASSERT_EQ(pread(a.get(), buffer.data(), kPageSize, offset), ssize_t{kPageSize});
    ASSERT_EQ(std::memcmp(buffer.data(), expected.data(), kPageSize), 0);
    fill(expected.data(), kPageSize, page + 1000);
    ASSERT_EQ(pread(b.get(), buffer.data(), kPageSize, offset), ssize_t{kPageSize});
    ASSERT_EQ(std::memcmp(buffer.data(), expected.data(), kPageSize), 0);
  }
}

// The driver gives no more queues than there are processors; the transport says what it got.
TEST_F(UblkLife, QueuesAreAsAskedUpToTheProcessors) {
  const auto processors = static_cast<unsigned>(sysconf(_SC_NPROCESSORS_CONF));
  for (const unsigned asked : {1u, 2u, 64u}) {
    ASSERT_TRUE(queue_threads_end());
    TransportOptions options;
    options.queues = asked;
    Device device(options, 64);
    EXPECT_EQ(device.transport->info().queues, std::min(asked, processors));
    EXPECT_EQ(device.transport->queue_stats().size(), device.transport->info().queues);
    EXPECT_EQ(queue_threads().size(), device.transport->info().queues);
  }
}

// Requests of each processor are served by the queue that has it.
TEST_F(UblkLife, EveryQueueServes) {
  TransportOptions options;
  options.queues = 2;
  Device device(options);
  const auto stats = device.transport->queue_stats();
  const UniqueFd fd = open_direct(device.path());
  Buffer buffer(kPageSize);
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  for (unsigned processor = 0; processor < stats.size(); ++processor) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    fill(buffer.data(), kPageSize, processor);
    ASSERT_EQ(pwrite(fd.get(), buffer.data(), kPageSize, 0), ssize_t{kPageSize});
  }
  EXPECT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  for (const auto* queue : stats) EXPECT_EQ(queue->write_bytes, kPageSize);
}

TEST_F(UblkLife, EveryQueueThreadIsAnIoFlusher) {
  ASSERT_TRUE(queue_threads_end());
  TransportOptions options;
  options.queues = 2;
  Device device(options);
  const auto threads = queue_threads();
  ASSERT_EQ(threads.size(), device.transport->info().queues);
  for (const auto& thread : threads) {
    EXPECT_EQ(stat_field(thread / "stat", 9) & kIoFlusherFlags, kIoFlusherFlags);
  }
}

TEST_F(UblkLife, BadOptionsAreRefusedInWords) {
  auto store = make_store();
  TransportOptions options;
  options.block_bytes = 1024;
  EXPECT_THAT(start_ublk(*store, options).error().message, HasSubstr("512 or 4096"));
  options = {};
  options.queues = 0;
  EXPECT_THAT(start_ublk(*store, options).error().message, HasSubstr("queues"));
  options = {};
  options.depth = 4097;
  EXPECT_THAT(start_ublk(*store, options).error().message, HasSubstr("1 to 4096"));
  options = {};
  options.id = 0x7ffffff0;
  const auto result = start_ublk(*store, options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
}

TEST_F(UblkLife, DeepestQueueWorks) {
  TransportOptions options;
  options.depth = 4096;
  Device device(options);
  ASSERT_TRUE(device.transport);
  EXPECT_EQ(device.transport->info().depth, 4095u) << "one tag is kept unused";
  const UniqueFd fd = open_direct(device.path());
  Buffer buffer(kPageSize);
  EXPECT_EQ(pread(fd.get(), buffer.data(), kPageSize, 0), ssize_t{kPageSize});
}

// The store has a session for the first queue only.
TEST_F(UblkLife, StartThatFailsAtASecondQueueLeavesNothing) {
  if (sysconf(_SC_NPROCESSORS_CONF) < 2) {
    auto store = make_store(1);
    auto session = store->open_session();
    ASSERT_TRUE(session);
    EXPECT_FALSE(start_ublk(*store, {}));
    return;
  }
  auto store = make_store(1);
  TransportOptions options;
  options.queues = 2;
  const auto result = start_ublk(*store, options);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ENFILE);
}

// Fails in a queue's thread, with the device added and the char device open.
TEST_F(UblkLife, StartThatFailsInAThreadLeavesNothing) {
  constexpr int kCapSysResource = 24;  // linux/capability.h
  EXPECT_EQ(in_child([] {
              if (prctl(PR_CAPBSET_DROP, kCapSysResource, 0, 0, 0) != 0) return 2;
              // Root regains what is left in the bounding set when it executes a program.
              execl("/proc/self/exe", "ublk_device_test", "--try-start", nullptr);
              return 3;
            }),
            1);
  EXPECT_THAT(ublk_traces(), IsEmpty());
}

// Newer kernels limit the devices of users without privilege only, so one of these asks.
TEST_F(UblkLife, LimitOfTheDriverIsSaidInWords) {
  constexpr std::uint64_t kUnprivilegedDev = 1u << 5;
  const std::string parameter = "module/ublk_drv/parameters/ublks_max";
  const std::string before = sysfs(parameter);
  ASSERT_FALSE(before.empty());
  std::ofstream("/sys/" + parameter) << "0" << std::flush;
  ASSERT_EQ(sysfs(parameter), "0");
  ASSERT_EQ(chmod("/dev/ublk-control", 0666), 0);
  const int status = in_child([] {
    if (setuid(65534) != 0) return 2;
    auto control = ublk::Control::open();
    if (!control) return 3;
    ublk::DeviceInfo wanted{};
    wanted.nr_hw_queues = 1;
    wanted.queue_depth = 1;
    wanted.max_io_buf_bytes = 4096;
    wanted.dev_id = ublk::kAnyDevice;
    wanted.flags = kUnprivilegedDev;
    const auto refused = control->add_device(wanted);
    if (refused) return 4;
    if (refused.error().code != EACCES) return 5;
    return refused.error().message.find("ublks_max") != std::string::npos ? 0 : 6;
  });
  ASSERT_EQ(chmod("/dev/ublk-control", 0600), 0);
  std::ofstream("/sys/" + parameter) << before << std::flush;
  EXPECT_EQ(status, 0);
}

TEST_F(UblkLife, WithoutPrivilegeTheErrorSaysRoot) {
  EXPECT_EQ(in_child([] {
              if (setuid(65534) != 0) return 2;
              const auto result = probe_ublk();
              if (result) return 3;
              return result.error().message.find("root") != std::string::npos ? 0 : 4;
            }),
            0);
}

TEST_F(UblkLife, StopWithRequestsInFlightEndsThem) {
  Device device;
  const std::string path = device.path();
  std::atomic<int> started{0};
  std::vector<std::thread> threads;
  for (unsigned index = 0; index < 4; ++index) {
    threads.emplace_back([&, index] {
      const UniqueFd fd = open_direct(path);
      Buffer buffer(64 * kPageSize);
      fill(buffer.data(), buffer.size(), index);
      ++started;
      // Ends when the device refuses: at the latest as the disk is gone.
      while (pwrite(fd.get(), buffer.data(), buffer.size(),
                    static_cast<off_t>(index * buffer.size())) > 0) {
      }
    });
  }
  while (started < 4 || device.transport->queue_stats().at(0)->write_bytes == 0) usleep(1000);
  const auto stopped = device.transport->stop();
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(stopped) << stopped.error().message;
}

// The encoding of Linux 6.1, which this kernel still takes.
TEST_F(UblkLife, LegacyCommandsServeToo) {
  auto control = ublk::Control::open(ublk::Encoding::kLegacy);
  ASSERT_TRUE(control) << control.error().message;
  EXPECT_EQ(control->encoding(), ublk::Encoding::kLegacy);
  auto store = make_store();
  TransportOptions options;
  options.name = "legacy";
  options.queues = 2;
  auto started = ublk::UblkTransport::start(*std::move(control), *store, options);
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_THAT((*started)->info().features, IsEmpty());
  UniqueFd fd = open_direct((*started)->info().path);
  Buffer written(1u << 20), read(1u << 20);
  fill(written.data(), written.size(), 9);
  ASSERT_EQ(pwrite(fd.get(), written.data(), written.size(), 0),
            static_cast<ssize_t>(written.size()));
  ASSERT_EQ(pread(fd.get(), read.data(), read.size(), 0), static_cast<ssize_t>(read.size()));
  EXPECT_EQ(std::memcmp(written.data(), read.data(), read.size()), 0);
  // Without DEL_DEV_ASYNC the deletion waits for every close.
  fd.reset();
  const auto stopped = (*started)->stop();
  EXPECT_TRUE(stopped) << stopped.error().message;
}

// A claim that is closed too late would make the deletion wait, and the number stay taken.
TEST_F(UblkLife, ClaimedDeviceGivesItsNumberBack) {
  for (int turn = 0; turn < 3; ++turn) {
    Device device;
    EXPECT_EQ(device.path(), "/dev/ublkb0");
    UniqueFd claim(open(device.path().c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    ASSERT_TRUE(claim);
    const auto stopped = device.transport->stop_claimed(std::move(claim));
    EXPECT_TRUE(stopped) << stopped.error().message;
  }
}

// Somebody who keeps the device open keeps its number, but does not make stop() hang or fail.
TEST_F(UblkLife, StopOfADeviceThatIsHeldOpenComesBack) {
  Device device;
  UniqueFd holder = open_direct(device.path());
  const std::uint64_t start_ns = monotonic_ns();
  const auto stopped = device.transport->stop();
  EXPECT_TRUE(stopped) << stopped.error().message;
  EXPECT_LT(monotonic_ns() - start_ns, std::uint64_t{10'000'000'000});
  EXPECT_THAT(ublk_traces(), IsEmpty());
  Buffer buffer(kPageSize);
  EXPECT_LE(pread(holder.get(), buffer.data(), kPageSize, 0), 0);
}

}  // namespace
}  // namespace pleat::device
