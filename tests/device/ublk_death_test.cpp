// SPDX-License-Identifier: MIT OR Apache-2.0
// Servers that die, hang, or lose their device to somebody else, on the real driver.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "device/ublk/control.h"
#include "device/ublk_fixture.h"

namespace pleat::device {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kWaitMs = 20'000;

// A process that serves a device until it is killed.
class Server {
 public:
  explicit Server(const TransportOptions& options) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    process_ = fork();
    if (process_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      Device device(options);
      const int id = device.transport ? device.id() : -1;
      if (write(ready[1], &id, sizeof(id)) != sizeof(id)) _exit(1);
      for (;;) pause();
    }
    close(ready[1]);
    EXPECT_EQ(read(ready[0], &info_.id, sizeof(info_.id)), ssize_t{sizeof(info_.id)});
    close(ready[0]);
  }
  ~Server() {
    if (process_ > 0) kill_and_wait();
  }
  void kill_and_wait() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = -1;
  }
  pid_t process() const { return process_; }
  const TransportInfo& info() const { return info_; }
  std::string path() const { return "/dev/ublkb" + std::to_string(info_.id); }

 private:
  pid_t process_ = -1;
  TransportInfo info_;
};

// A process that reads the device until an error, so that requests are in flight. Not a thread: one
// that hangs must not take the test with it.
class Reader {
 public:
  explicit Reader(const std::string& path) {
    process_ = fork();
    if (process_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int fd = open(path.c_str(), O_RDONLY | O_DIRECT);
      void* const buffer =
          mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      for (off_t offset = 0;; offset = (offset + off_t{kPageSize}) % off_t{1 << 20}) {
        if (pread(fd, buffer, kPageSize, offset) != ssize_t{kPageSize}) _exit(errno);
      }
    }
  }
  ~Reader() {
    if (process_ > 0) kill(process_, SIGKILL);
    if (process_ > 0) waitpid(process_, nullptr, 0);
  }
  // The errno that ended it, or -1 where it has not ended in time.
  int wait(int timeout_ms) {
    const std::uint64_t end_ns = monotonic_ns() + std::uint64_t{1'000'000} * timeout_ms;
    int status = 0;
    while (waitpid(process_, &status, WNOHANG) == 0) {
      if (monotonic_ns() > end_ns) return -1;
      usleep(10'000);
    }
    process_ = -1;
    return WEXITSTATUS(status);
  }

 private:
  pid_t process_ = -1;
};

class UblkDeath : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(ublk_traces(), IsEmpty()); }
  void TearDown() override { EXPECT_THAT(ublk_traces(), IsEmpty()); }
};

TEST_F(UblkDeath, KilledServersDeviceIsRemoved) {
  Server server({});
  server.kill_and_wait();
  const auto removed = remove_leftovers(server.info(), "test");
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_THAT(ublk_traces(), IsEmpty());
  EXPECT_TRUE(remove_leftovers(server.info(), "test")) << "a second time there is nothing to do";
}

TEST_F(UblkDeath, RequestsOfAKilledServerFailSoon) {
  Server server({});
  Reader reader(server.path());
  usleep(200'000);
  server.kill_and_wait();
  const auto removed = remove_leftovers(server.info(), "test");
  EXPECT_TRUE(removed) << removed.error().message;
  EXPECT_GT(reader.wait(kWaitMs), 0);
}

// All tags are with the server when it dies. Without the spare tag Linux 6.12 takes 30 s to see it.
TEST_F(UblkDeath, ServerThatDiesWithEveryTagInFlightIsNoticed) {
  TransportOptions options;
  options.depth = 2;
  Server server(options);
  std::vector<std::unique_ptr<Reader>> readers;
  for (int index = 0; index < 4; ++index) {
    readers.push_back(std::make_unique<Reader>(server.path()));
  }
  usleep(300'000);
  kill(server.process(), SIGSTOP);
  usleep(300'000);
  server.kill_and_wait();
  const std::uint64_t killed_ns = monotonic_ns();
  const auto removed = remove_leftovers(server.info(), "test");
  EXPECT_TRUE(removed) << removed.error().message;
  for (auto& reader : readers) EXPECT_GT(reader->wait(kWaitMs), 0);
  EXPECT_LT(monotonic_ns() - killed_ns, std::uint64_t{20'000'000'000});
}

TEST_F(UblkDeath, LivingServersDeviceIsLeftAlone) {
  Server server({});
  const auto refused = remove_leftovers(server.info(), "test");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EBUSY);
  EXPECT_THAT(refused.error().message, HasSubstr(std::to_string(server.process())));
  EXPECT_EQ(access(server.path().c_str(), F_OK), 0);
  server.kill_and_wait();
  EXPECT_TRUE(remove_leftovers(server.info(), "test"));
}

TEST_F(UblkDeath, DeviceOfAnotherProgramIsLeftAlone) {
  auto control = ublk::Control::open();
  ASSERT_TRUE(control) << control.error().message;
  ublk::DeviceInfo wanted{};
  wanted.nr_hw_queues = 1;
  wanted.queue_depth = 4;
  wanted.max_io_buf_bytes = 65536;
  wanted.dev_id = ublk::kAnyDevice;
  auto added = control->add_device(wanted);
  ASSERT_TRUE(added) << added.error().message;
  TransportInfo info;
  info.id = static_cast<int>(added->dev_id);
  const auto refused = remove_leftovers(info, "test");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EPERM);
  EXPECT_TRUE(control->device_info(added->dev_id));
  EXPECT_TRUE(control->delete_device(added->dev_id));
}

TEST_F(UblkDeath, StopBySomebodyElseEndsTheTransport) {
  Device device;
  auto other = ublk::Control::open();
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_TRUE(other->stop_device(static_cast<unsigned>(device.id())));
  EXPECT_TRUE(is_readable(device.transport->ended_fd(), 5000));
  const auto stopped = device.transport->stop();
  EXPECT_TRUE(stopped) << stopped.error().message;
}

TEST_F(UblkDeath, DeletionBySomebodyElseEndsTheTransport) {
  Device device;
  auto other = ublk::Control::open();
  ASSERT_TRUE(other) << other.error().message;
  const auto deleted = other->delete_device(static_cast<unsigned>(device.id()));
  EXPECT_TRUE(deleted) << deleted.error().message;
  EXPECT_TRUE(is_readable(device.transport->ended_fd(), 5000));
  const auto stopped = device.transport->stop();
  EXPECT_TRUE(stopped) << stopped.error().message;
}

// A server that hangs with a request keeps STOP_DEV in the driver, where no signal reaches it.
TEST_F(UblkDeath, CommandThatDoesNotComeBackTimesOutAndNothingHangs) {
  Server server({});
  Reader reader(server.path());
  usleep(200'000);
  kill(server.process(), SIGSTOP);
  usleep(200'000);
  {
    auto control = ublk::Control::open();
    ASSERT_TRUE(control) << control.error().message;
    const auto stopped = control->stop_device(static_cast<unsigned>(server.info().id));
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ETIMEDOUT);
    EXPECT_THAT(stopped.error().message, HasSubstr("did not answer in time"));
    // The connection still works for other commands.
    EXPECT_EQ(control->device_info(1234).error().code, ENODEV);
  }
  server.kill_and_wait();
  EXPECT_GT(reader.wait(kWaitMs), 0);
  const auto removed = remove_leftovers(server.info(), "test");
  EXPECT_TRUE(removed) << removed.error().message;
}

}  // namespace
}  // namespace pleat::device
