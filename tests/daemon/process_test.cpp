// SPDX-License-Identifier: MIT OR Apache-2.0
// What goes between the daemon's processes and their surroundings: bounded tasks, reports, the
// ready line, the service manager, the log.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/notify.h"
#include "daemon/bounded.h"
#include "daemon/fake_roots.h"
#include "daemon/log.h"
#include "daemon/pidfd.h"
#include "daemon/ready.h"
#include "daemon/report.h"
#include "daemon/signals.h"

namespace pleat::daemon {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string read_once(int fd) {
  std::array<char, 8192> bytes;
  const ssize_t size = read(fd, bytes.data(), bytes.size());
  return {bytes.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

TEST(Bounded, ATasksResultComesBack) {
  EXPECT_TRUE(run_bounded("work", 5000, [] { return Result<void>(); }));
  const auto failed = run_bounded("work", 5000, [] {
    return Result<void>(Error{EBUSY, "busy: why"});
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, EBUSY);
  EXPECT_EQ(failed.error().message, "busy: why");
}

TEST(Bounded, ATaskThatHangsIsGivenUp) {
  const auto late = run_bounded("work", 50, [] {
    pause();
    return Result<void>();
  });
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ETIMEDOUT);
  EXPECT_THAT(late.error().message, HasSubstr("work took longer"));
  while (waitpid(-1, nullptr, 0) > 0) {
  }
}

TEST(Bounded, ATaskThatDiesIsAnError) {
  EXPECT_FALSE(run_bounded("work", 5000, []() -> Result<void> {
    raise(SIGKILL);
    return {};
  }));
}

TEST(Pidfd, TheEndOfAProcessIsSeenAndItsSignalsArrive) {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  auto pidfd = open_pidfd(child);
  ASSERT_TRUE(pidfd);
  EXPECT_FALSE(wait_for_exit(*pidfd, 10));
  EXPECT_TRUE(send_signal(*pidfd, SIGTERM));
  EXPECT_TRUE(wait_for_exit(*pidfd, 10'000));
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  EXPECT_EQ(send_signal(*pidfd, SIGTERM).error().code, ESRCH);
  EXPECT_EQ(open_pidfd(child).error().code, ESRCH);
}

TEST(Report, ComesAsItWasSent) {
  auto channel = make_report_channel();
  ASSERT_TRUE(channel);
  EXPECT_EQ(receive_report(channel->guardian.get()).error().code, EAGAIN);
  for (const Event event : {Event::kReady, Event::kFailed, Event::kRefused, Event::kStopping,
                            Event::kStopped, Event::kEnded, Event::kSaid}) {
    Report sent;
    sent.event = event;
    sent.error = {EBUSY, "in \"use\""};
    sent.device.kind = device::TransportKind::kUblk;
    sent.device.path = "/dev/ublkb7";
    sent.device.id = 7;
    sent.reason = "ublk: asked for";
    ASSERT_TRUE(send_report(channel->worker.get(), sent));
    const auto got = receive_report(channel->guardian.get());
    ASSERT_TRUE(got);
    EXPECT_EQ(got->event, event);
    EXPECT_EQ(got->error.code, EBUSY);
    EXPECT_EQ(got->error.message, sent.error.message);
    EXPECT_EQ(got->device.kind, device::TransportKind::kUblk);
    EXPECT_EQ(got->device.path, "/dev/ublkb7");
    EXPECT_EQ(got->device.id, 7);
    EXPECT_EQ(got->reason, sent.reason);
  }
}

TEST(Report, EachSideSeesTheOthersDeath) {
  auto channel = make_report_channel();
  ASSERT_TRUE(channel);
  ASSERT_TRUE(send_report(channel->worker.get(), {}));
  channel->worker.reset();
  EXPECT_TRUE(receive_report(channel->guardian.get()));  // what was sent before still comes
  EXPECT_EQ(receive_report(channel->guardian.get()).error().code, EPIPE);
  auto other = make_report_channel();
  ASSERT_TRUE(other);
  other->guardian.reset();
  EXPECT_FALSE(send_report(other->worker.get(), {}));
}

TEST(Report, NonsenseIsRefused) {
  auto channel = make_report_channel();
  ASSERT_TRUE(channel);
  for (const std::string text : {"x", "{}", "{\"event\":\"party\"}", "{\"event\":3}"}) {
    ASSERT_GT(send(channel->worker.get(), text.data(), text.size(), 0), 0);
    EXPECT_EQ(receive_report(channel->guardian.get()).error().code, EBADMSG) << text;
  }
}

TEST(Report, AGuardianThatDoesNotReadHoldsNobody) {
  auto channel = make_report_channel();
  ASSERT_TRUE(channel);
  int sent = 0;
  while (sent < 100'000 && send_report(channel->worker.get(), {})) ++sent;
  EXPECT_LT(sent, 100'000);
}

TEST(ReadyLine, SaysWhereTheDeviceIsOrWhatFailed) {
  std::array<int, 2> ends;
  ASSERT_EQ(pipe(ends.data()), 0);
  Options options;
  options.name = "demo";
  Report report;
  report.device.path = "/dev/loop3";
  report.device.kind = device::TransportKind::kLoop;
  report.device.id = 3;
  report.reason = "loop: asked for";
  write_ready_line(ends[1], options, report, 12);
  const auto ready = nlohmann::json::parse(read_once(ends[0]));
  EXPECT_EQ(ready, (nlohmann::json{{"ok", true},
                                   {"name", "demo"},
                                   {"path", "/dev/loop3"},
                                   {"transport", "loop"},
                                   {"reason", "loop: asked for"},
                                   {"id", 3},
                                   {"pid", getpid()},
                                   {"worker", 12}}));
  EXPECT_EQ(read_once(ends[0]), "");  // closed
  close(ends[0]);

  ASSERT_EQ(pipe(ends.data()), 0);
  write_failed_line(ends[1], {EPERM, "no \xff"});
  const auto failed = nlohmann::json::parse(read_once(ends[0]));
  EXPECT_EQ(failed["ok"], false);
  EXPECT_EQ(failed["code"], EPERM);
  EXPECT_THAT(failed["error"].get<std::string>(), StartsWith("no "));
  close(ends[0]);
  write_failed_line(-1, {EPERM, "nowhere"});
}

class Notify : public testing::Test {
 protected:
  int listen_at(const std::string& path) {
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (path[0] == '@') address.sun_path[0] = '\0';
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(sizeof(sa_family_t) + path.size())),
              0);
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
    return fd;
  }
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
  }
};

TEST_F(Notify, ReachesAPathAndAnAbstractName) {
  TemporaryRuntimeDirectory directory;
  for (const std::string& path :
       {directory.path() + "/notify", "@pleat-notify-" + std::to_string(getpid())}) {
    const int fd = listen_at(path);
    EXPECT_TRUE(notify(take_service_manager(), "READY=1\nSTATUS=x"));
    EXPECT_EQ(getenv("NOTIFY_SOCKET"), nullptr);
    EXPECT_EQ(read_once(fd), "READY=1\nSTATUS=x");
    close(fd);
  }
}

TEST_F(Notify, WithoutAManagerDoesNothing) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(notify(take_service_manager(), "READY=1"));
  for (const std::string& path :
       {std::string("relative"), "/" + std::string(200, 'x'), std::string("/nonexistent/socket")}) {
    setenv("NOTIFY_SOCKET", path.c_str(), 1);
    EXPECT_FALSE(notify(take_service_manager(), "READY=1")) << path;
  }
}

TEST_F(Notify, AWatchdogIsOnesOwnOrNobodys) {
  EXPECT_EQ(take_service_manager().watchdog_ns, 0u);
  setenv("WATCHDOG_USEC", "3000000", 1);
  EXPECT_EQ(take_service_manager().watchdog_ns, 3'000'000'000u);
  EXPECT_EQ(getenv("WATCHDOG_USEC"), nullptr);
  for (const pid_t pid : {getpid(), getppid()}) {
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", std::to_string(pid).c_str(), 1);
    EXPECT_EQ(take_service_manager().watchdog_ns, pid == getpid() ? 3'000'000'000u : 0u);
  }
}

// Standard error as a pipe for the time of a test.
class Log : public testing::Test {
 protected:
  Log() {
    EXPECT_EQ(pipe(ends_.data()), 0);
    saved_ = dup(STDERR_FILENO);
    dup2(ends_[1], STDERR_FILENO);
  }
  ~Log() override {
    restore();
    close(ends_[0]);
    close(ends_[1]);
    unsetenv("JOURNAL_STREAM");
  }
  void restore() {
    if (saved_ < 0) return;
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    saved_ = -1;
  }

  std::array<int, 2> ends_{};
  int saved_ = -1;
};

TEST_F(Log, ALineIsPlainOutsideTheJournal) {
  setenv("JOURNAL_STREAM", "1:2", 1);  // somebody else's
  log_line(LogLevel::kError, "it broke");
  EXPECT_EQ(read_once(ends_[0]), "pleatd: it broke\n");
}

TEST_F(Log, TheJournalGetsTheLevel) {
  struct stat status {};
  fstat(ends_[1], &status);
  setenv("JOURNAL_STREAM",
         (std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino)).c_str(), 1);
  log_line(LogLevel::kError, "it broke");
  log_line(LogLevel::kInfo, "it works");
  EXPECT_EQ(read_once(ends_[0]), "<3>it broke\n<6>it works\n");
}

TEST_F(Log, AReaderThatDoesNotReadHoldsNobody) {
  const std::string text(1000, 'x');
  for (int i = 0; i < 200; ++i) log_line(LogLevel::kInfo, text);  // a pipe holds 64 KiB
  restore();
  EXPECT_THAT(read_once(ends_[0]), StartsWith("pleatd: xxx"));
}

TEST_F(Log, ALongLineIsCutAndStillEnds) {
  log_line(LogLevel::kInfo, std::string(5000, 'x'));
  const std::string line = read_once(ends_[0]);
  EXPECT_LE(line.size(), 1024u);
  EXPECT_EQ(line.back(), '\n');
}

TEST(Signals, StopsArriveAsDescriptorAndHangUpsNotAtAll) {
  const pid_t child = fork();
  if (child == 0) {
    auto signals = open_stop_signals();
    if (!signals || take_signal(signals->get()) != 0) _exit(1);
    raise(SIGHUP);
    raise(SIGPIPE);
    if (take_signal(signals->get()) != 0) _exit(2);
    raise(SIGTERM);
    if (take_signal(signals->get()) != SIGTERM) _exit(3);
    raise(SIGINT);
    if (take_signal(signals->get()) != SIGINT) _exit(4);
    raise(kLeaveSignal);
    if (take_signal(signals->get()) != kLeaveSignal) _exit(5);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace pleat::daemon
