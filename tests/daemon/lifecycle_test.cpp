// SPDX-License-Identifier: MIT OR Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/task_stat.h"
#include "codec/page_codec.h"
#include "control/status.h"
#include "daemon/board.h"
#include "daemon/daemon_process.h"
#include "device/transport.h"
#include "store/backing_file.h"

namespace pleat::daemon {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;

class Lifecycle : public DaemonTest {};

control::DeviceStatus status_of(const Json& answer) {
  auto status = control::status_from_json(answer.value("status", Json::object()));
  EXPECT_TRUE(status);
  return status ? *status : control::DeviceStatus{};
}

TEST_F(Lifecycle, PagesGoInAndOutAndTheCountersSaySo) {
  DaemonProcess daemon(arguments({"--queues", "2", "--mem-limit", "32M"}));
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  EXPECT_EQ(daemon.ready()["name"], name_);
  EXPECT_EQ(daemon.ready()["transport"], "loop");
  EXPECT_EQ(daemon.ready()["reason"], "loop: asked for");
  EXPECT_EQ(daemon.ready()["pid"], daemon.guardian());

  const std::unique_ptr<void, void (*)(void*)> page(std::aligned_alloc(4096, 8192), std::free);
  auto* const bytes = static_cast<unsigned char*>(page.get());
  for (int i = 0; i < 4096; ++i) bytes[i] = static_cast<unsigned char>(i / 16);
  const UniqueFd device(open(daemon.path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  ASSERT_TRUE(device);
  ASSERT_EQ(pwrite(device.get(), bytes, 4096, 40960), 4096);
  ASSERT_EQ(pread(device.get(), bytes + 4096, 4096, 40960), 4096);
  EXPECT_EQ(memcmp(bytes, bytes + 4096, 4096), 0);

  const auto status = status_of(call({{"op", "stat"}}));
  EXPECT_EQ(status.name, name_);
  EXPECT_EQ(status.path, daemon.path());
  EXPECT_EQ(status.pid, daemon.worker());
  EXPECT_EQ(status.disksize, 64u << 20);
  EXPECT_EQ(status.mem_limit, 32u << 20);
  EXPECT_EQ(status.queues, 2u);
  EXPECT_EQ(status.orig_data_size, 4096u);
  EXPECT_EQ(status.write.bytes, 4096u);
  EXPECT_GE(status.read.bytes, 4096u);
  // The slot table, the header and the first reserve at least.
  EXPECT_GE(status.resident_bytes, status.slot_table_bytes + status.reserve_bytes);
  EXPECT_THAT(call({{"op", "metrics"}})["metrics"].get<std::string>(),
              HasSubstr("pleat_stored_bytes{device=\"" + name_ + "\",algorithm=\"" +
                        status.algorithm + "\"} 4096\n"));
}

TEST_F(Lifecycle, TheCodecSuitsTheProcessorWhereNobodyChoosesOne) {
  for (const codec::Kernels* kernels : codec::available_kernels()) {
    DaemonProcess daemon(arguments(), [&] { setenv("PLEAT_ISA", kernels->name, 1); });
    ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
    const auto status = status_of(call({{"op", "stat"}}));
    EXPECT_EQ(status.isa, kernels->name);
    EXPECT_EQ(status.algorithm, codec::default_codec(*kernels));
    EXPECT_THAT(daemon.said(), HasSubstr(status.algorithm));
  }
}

TEST_F(Lifecycle, TheDaemonsOwnMemoryIsBelow24MiB) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  const auto status = status_of(call({{"op", "stat"}}));
  EXPECT_GT(status.daemon_bytes, 1u << 20);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(status.daemon_bytes, 24u << 20);
#endif
}

TEST_F(Lifecycle, StopOnTheSocketAnswersOnceTheDeviceIsGone) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  const std::string kernel_name = daemon.path().substr(5);
  EXPECT_EQ(slurp("/sys/block/" + kernel_name + "/loop/backing_file"), "");
  EXPECT_EQ(daemon.wait(), 0) << daemon.said();
}

TEST_F(Lifecycle, EitherProcessStopsOnEitherSignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    for (const bool at_worker : {false, true}) {
      DaemonProcess daemon(arguments());
      ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
      kill(at_worker ? daemon.worker() : daemon.guardian(), signal);
      EXPECT_EQ(daemon.wait(), 0) << daemon.said();
      EXPECT_FALSE(is_running(daemon.worker()));
      expect_nothing_left();
    }
  }
}

TEST_F(Lifecycle, AHangUpIsNotAStop) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  kill(daemon.guardian(), SIGHUP);
  kill(daemon.worker(), SIGHUP);
  EXPECT_EQ(status_of(call({{"op", "stat"}})).name, name_);
}

TEST_F(Lifecycle, CompactionAnswersWithThePagesThatItFreed) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  const auto answer = call({{"op", "compact"}});
  EXPECT_EQ(answer["pages_compacted"], status_of(call({{"op", "stat"}})).pages_compacted);
}

TEST_F(Lifecycle, PagesAreMarkedIdleUpToTheAgesThatAreKnown) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  EXPECT_EQ(call({{"op", "idle"}})["pages_idle"], 0);
  EXPECT_EQ(call({{"op", "idle"}, {"age", 103'680}})["pages_idle"], 0);
  EXPECT_THAT(refusal({{"op", "idle"}, {"age", 103'681}}), HasSubstr("103680 seconds"));
  EXPECT_THAT(refusal({{"op", "idle"}, {"age", "1h"}}), HasSubstr("age must be a number"));
}

TEST_F(Lifecycle, RecompressesWithTheCodecThatItWasMadeWith) {
  auto with_codec = arguments();
  with_codec.insert(with_codec.end(), {"--recompress", "lz4hc"});
  DaemonProcess daemon(with_codec);
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  EXPECT_EQ(status_of(call({{"op", "stat"}})).recomp_algorithm, "lz4hc");
  const std::uint64_t slots = status_of(call({{"op", "stat"}})).disksize / 4096;
  // On a busy machine it takes more than one of the calls that are bounded in time.
  std::uint64_t next = 1;
  for (bool done = false; !done;) {
    const auto answer = call({{"op", "recompress"},
                              {"type", "huge_idle"},
                              {"threshold", 3000},
                              {"max_pages", 5},
                              {"algorithm", "lz4hc"},
                              {"first", next}});
    done = answer.at("done");
    EXPECT_EQ(answer["pages_recompressed"], 0);
    EXPECT_EQ(answer["bytes_saved"], 0);
    EXPECT_EQ(answer["pages_kept"], 0);
    ASSERT_GE(answer.at("next"), next);
    next = answer["next"];
  }
  EXPECT_EQ(next, slots);
  EXPECT_THAT(refusal({{"op", "recompress"}, {"type", "cold"}}), HasSubstr("idle, huge and"));
  EXPECT_THAT(refusal({{"op", "recompress"}, {"algorithm", "line"}}), HasSubstr("with lz4hc"));
  EXPECT_THAT(refusal({{"op", "recompress"}, {"threshold", 4097}}), HasSubstr("at most 4096"));
  EXPECT_THAT(refusal({{"op", "recompress"}, {"max_pages", -1}}), HasSubstr("max_pages"));
}

TEST_F(Lifecycle, RecompressesNothingWithoutACodec) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  EXPECT_THAT(refusal({{"op", "recompress"}}), HasSubstr("no codec for recompression"));
  EXPECT_THAT(refusal({{"op", "writeback"}}), HasSubstr("no backing device"));
}

TEST_F(Lifecycle, WritesBackToTheDeviceThatItWasMadeWith) {
  const store::BackingFile file(64);
  auto with_device = arguments();
  with_device.insert(with_device.end(), {"--writeback-device", file.path()});
  DaemonProcess daemon(with_device);
  if (file.is_in_memory()) {
    // As in a guest.
    EXPECT_THAT(daemon.ready().value("error", ""), HasSubstr("is in memory"));
    return;
  }
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  const auto stat = [this] { return status_of(call({{"op", "stat"}})); };
  EXPECT_TRUE(stat().backing_dev.ends_with("/" + file.path()));
  EXPECT_EQ(stat().backing_bytes, 64u * 4096);
  const auto answer = call(
      {{"op", "writeback"}, {"type", "huge_idle"}, {"max_pages", 5}, {"first", 1}, {"end", 9}});
  EXPECT_EQ(answer["end"], "done");
  EXPECT_EQ(answer["next"], 9);
  EXPECT_EQ(answer["pages_written"], 0);
  EXPECT_EQ(answer["blocks_written"], 0);
  EXPECT_EQ(answer["bytes_freed"], 0);
  EXPECT_EQ(answer["error"], 0);
  EXPECT_THAT(refusal({{"op", "writeback"}, {"type", "cold"}}), HasSubstr("and incompressible"));
  EXPECT_THAT(refusal({{"op", "writeback"}, {"end", -1}}), HasSubstr("end"));
  call({{"op", "set"}, {"key", "writeback_limit"}, {"value", 8192}});
  EXPECT_EQ(stat().writeback_limit, 2u);
  EXPECT_EQ(stat().writeback_limit_enable, 1u);
  call({{"op", "set"}, {"key", "writeback_limit_enable"}, {"value", 0}});
  EXPECT_EQ(stat().writeback_limit_enable, 0u);
  EXPECT_THAT(refusal({{"op", "set"}, {"key", "writeback_limit_enable"}, {"value", 1}}),
              HasSubstr("only be set to 0"));
}

TEST_F(Lifecycle, AWritebackDeviceThatIsNoneIsRefused) {
  for (const auto& [path, text] : {std::pair("/is/not/there", "cannot use the writeback device"),
                                   std::pair("/dev/null", "neither a block device nor a file")}) {
    auto with_device = arguments();
    with_device.insert(with_device.end(), {"--writeback-device", path});
    DaemonProcess daemon(with_device);
    EXPECT_THAT(daemon.ready().value("error", ""), HasSubstr(text));
  }
}

TEST_F(Lifecycle, LimitsChangeWhileItRuns) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  call({{"op", "set"}, {"key", "mem_limit"}, {"value", 8192}});
  EXPECT_EQ(status_of(call({{"op", "stat"}})).mem_limit, 8192u);
  call({{"op", "set"}, {"key", "mem_used_max"}, {"value", 0}});
  EXPECT_THAT(refusal({{"op", "set"}, {"key", "mem_used_max"}, {"value", 1}}),
              HasSubstr("only be set to 0"));
  EXPECT_THAT(refusal({{"op", "set"}, {"key", "colour"}, {"value", 1}}),
              HasSubstr("the keys are mem_limit, mem_used_max, writeback_limit, "
                        "writeback_limit_enable and size"));
  EXPECT_THAT(refusal({{"op", "set"}, {"key", "mem_limit"}, {"value", -1}}),
              HasSubstr("number of bytes"));
  EXPECT_THAT(refusal({{"op", "fly"}}),
              HasSubstr("the ops are stat, metrics, set, compact, idle, recompress, writeback and "
                        "stop"));
  EXPECT_THAT(refusal({{"no", "op"}}), HasSubstr("needs an op"));
}

TEST_F(Lifecycle, TheSizeChangesWhereThatLosesNothing) {
  DaemonProcess daemon(arguments({"--size-max", "128M"}));
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  const auto set = [](std::uint64_t bytes) {
    return Json{{"op", "set"}, {"key", "size"}, {"value", bytes}};
  };
  const auto expect_size = [&](std::uint64_t mib) {
    const auto status = status_of(call({{"op", "stat"}}));
    EXPECT_EQ(status.disksize, mib << 20);
    EXPECT_EQ(status.disksize_max, 128u << 20);
    EXPECT_EQ(slurp("/sys/block/" + daemon.path().substr(5) + "/size"),
              std::to_string((mib << 20) / 512) + "\n");
  };
  expect_size(64);
  call(set(100u << 20));
  expect_size(100);
  EXPECT_EQ(shell("dd if=/dev/urandom of=" + daemon.path() +
                  " bs=1M seek=99 count=1 oflag=direct status=none"),
            0);
  EXPECT_THAT(refusal(set(99u << 20)), HasSubstr("is stored"));
  EXPECT_THAT(refusal(set(129u << 20)), HasSubstr("up to 128M"));
  EXPECT_THAT(refusal(set(4097)), HasSubstr("multiple of 4096"));
  expect_size(100);
  {
    const UniqueFd user(open(daemon.path().c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_THAT(refusal(set(32u << 20)), HasSubstr("open in process " + std::to_string(getpid())));
  }
  EXPECT_EQ(shell("blkdiscard " + daemon.path()), 0);
  call(set(32u << 20));
  expect_size(32);
}

TEST_F(Lifecycle, TheLogSaysThatWritesFailAndWhy) {
  DaemonProcess daemon(arguments({"--mem-limit", "4K"}));
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  const std::string write = "dd if=/dev/urandom of=" + daemon.path() +
                            " bs=64K count=1 oflag=direct status=none 2>/dev/null";
  EXPECT_NE(shell(write), 0);
  const std::string line = "writes to " + daemon.path() + " fail: its memory limit of 4K";
  EXPECT_TRUE(eventually([&] { return daemon.said().find(line) != std::string::npos; }))
      << daemon.said();
  EXPECT_GT(status_of(call({{"op", "stat"}})).over_limit_writes, 0u);
  // Once, however often it happens: the main loop looks several times within a second.
  EXPECT_NE(shell(write + "; sleep 1; " + write), 0);
  EXPECT_EQ(daemon.said().find(line), daemon.said().rfind(line)) << daemon.said();
}

// Bits of the effective set (linux/capability.h).
constexpr int kSysNice = 23;
constexpr int kSysResource = 24;

bool has_capability(int bit) {
  const std::string own = slurp("/proc/self/status");
  const auto effective = std::strtoull(own.c_str() + own.find("CapEff:") + 7, nullptr, 16);
  return (effective >> bit & 1) != 0;
}

TEST_F(Lifecycle, MemoryIsLockedAndTheKernelKnowsWhatItDealsWith) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  const bool may_mark = has_capability(kSysResource);
  for (const pid_t pid : {daemon.guardian(), daemon.worker()}) {
    const std::string process = "/proc/" + std::to_string(pid);
#ifndef __SANITIZE_ADDRESS__  // whose run-time takes mlockall() for itself and does nothing
    EXPECT_THAT(slurp(process + "/status"), testing::Not(HasSubstr("VmLck:\t       0 kB")));
#endif
    if (!may_mark) continue;
    EXPECT_EQ(slurp(process + "/oom_score_adj"), "-1000\n");
    for (const auto& task : std::filesystem::directory_iterator(process + "/task")) {
      EXPECT_EQ(stat_field(task.path() / "stat", 9) & kIoFlusherFlags, kIoFlusherFlags)
          << task.path();
    }
  }
  const std::string features = call({{"op", "stat"}})["status"]["features"].dump();
  if (may_mark) {
    EXPECT_THAT(features, testing::Not(HasSubstr("IO_FLUSHER")));
  } else {
    EXPECT_THAT(features, HasSubstr("no IO_FLUSHER (the process lacks CAP_SYS_RESOURCE)"));
    EXPECT_THAT(daemon.said(), HasSubstr("oom_score_adj"));
    EXPECT_THAT(daemon.said(), HasSubstr("IO_FLUSHER"));
  }
}

TEST_F(Lifecycle, ThreadsThatServeGoBeforeThoseThatWaitForThem) {
  DaemonProcess daemon(arguments());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  const std::string features = call({{"op", "stat"}})["status"]["features"].dump();
  if (!has_capability(kSysNice)) {
    EXPECT_THAT(features, HasSubstr("normal priority (the process lacks CAP_SYS_NICE)"));
    EXPECT_THAT(daemon.said(), HasSubstr("real-time priority"));
    return;
  }
  EXPECT_THAT(features, testing::Not(HasSubstr("normal priority")));
  const std::string tasks = "/proc/" + std::to_string(daemon.worker()) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    EXPECT_EQ(stat_field(task.path() / "stat", 41), std::uint64_t{SCHED_RR}) << task.path();
    EXPECT_EQ(stat_field(task.path() / "stat", 40), 1u) << task.path();
  }
}

class Managed : public DaemonTest {
 protected:
  void SetUp() override {
    socket_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  void TearDown() override {
    unlink(path_.c_str());
    DaemonTest::TearDown();
  }
  std::function<void()> environment() const {
    return [this] {
      setenv("NOTIFY_SOCKET", path_.c_str(), 1);
      setenv("WATCHDOG_USEC", "300000", 1);
    };
  }
  // What the manager was told since the last call, a line each.
  std::string messages() const {
    std::string all;
    std::array<char, 4096> part;
    for (ssize_t size = 0;
         (size = recv(socket_.get(), part.data(), part.size(), MSG_DONTWAIT)) > 0;) {
      all.append(part.data(), static_cast<std::size_t>(size)).append("\n");
    }
    return all;
  }
  // The guardian that there is once `last` is none any more.
  pid_t next_guardian(pid_t last) const {
    pid_t guardian = last;
    EXPECT_TRUE(eventually([&] {
      auto board = find_board(name_);
      if (!board) return false;
      guardian = (*board)->guardian.load().pid;
      release_board(*board);
      return guardian != last;
    }));
    return guardian;
  }

  const std::string path_ = runtime_.path() + ".notify";
  UniqueFd socket_;
};

TEST_F(Managed, TheServiceManagerIsToldOfReadinessAndStop) {
  DaemonProcess daemon(arguments(), environment());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  kill(daemon.guardian(), SIGTERM);
  EXPECT_EQ(daemon.wait(), 0);
  const std::string told = messages();
  EXPECT_THAT(told, HasSubstr("READY=1\nMAINPID=" + std::to_string(daemon.guardian()) +
                              "\nSTATUS=" + name_ + " is " + daemon.path()));
  EXPECT_THAT(told, HasSubstr("STOPPING=1\n"));
}

TEST_F(Managed, AWatchdogHearsOfTheGuardianAndOfTheNextOne) {
  DaemonProcess daemon(arguments(), environment());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  const auto beats = [this] { return messages().find("WATCHDOG=1\n") != std::string::npos; };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(eventually(beats));
  // Who hangs is not heard of.
  kill(daemon.guardian(), SIGSTOP);
  messages();
  usleep(500'000);
  EXPECT_EQ(messages(), "");
  kill(daemon.guardian(), SIGKILL);
  const pid_t guardian = next_guardian(daemon.guardian());
  std::string told;
  EXPECT_TRUE(eventually([&] {
    told += messages();
    return told.find("WATCHDOG=1\n") != std::string::npos;
  }));
  EXPECT_THAT(told, HasSubstr("MAINPID=" + std::to_string(guardian) + "\n"));
  kill(guardian, SIGTERM);
}

TEST_F(Managed, AGuardianThatLeavesItsServiceIsTakenUpByTheNextStart) {
  DaemonProcess daemon(arguments(), [this] {
    environment()();
    deny_clones();
  });
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  kill(daemon.guardian(), SIGUSR1);
  EXPECT_EQ(daemon.wait(), 0);
  const pid_t guardian = next_guardian(daemon.guardian());
  messages();
  EXPECT_TRUE(call({{"op", "stat"}}).value("ok", false));
  usleep(500'000);
  EXPECT_EQ(messages(), "");
  // The worker's are not to leave.
  kill(daemon.worker(), SIGUSR1);

  const std::string start = std::string(PLEATD) + " --take-up --size 64M --transport loop --name ";
  EXPECT_EQ(shell(start + name_ + " 2>/dev/null"), 1) << "taken up without a service manager";
  EXPECT_EQ(shell("NOTIFY_SOCKET=" + path_ + " " + start + name_ + " 2>/dev/null"), 0);
  EXPECT_TRUE(is_running(daemon.worker()));
  // The guardian's first beat may come before.
  const std::string served_on =
      "MAINPID=" + std::to_string(guardian) + "\nREADY=1\nSTATUS=" + daemon.path();
  EXPECT_THAT(messages(), testing::AnyOf(testing::StartsWith(served_on),
                                         testing::StartsWith("WATCHDOG=1\n" + served_on)));
  EXPECT_TRUE(eventually([&] { return messages() == "WATCHDOG=1\n"; }));
  kill(guardian, SIGTERM);
  EXPECT_TRUE(eventually([&] { return !is_running(guardian); }));
  EXPECT_THAT(messages(), HasSubstr("STOPPING=1\n"));
}

TEST_F(Managed, ADaemonThatCanBeSucceededIsSoByTheNextStart) {
  if (auto connection = device::open_loop_connection(1); !connection) {
    GTEST_SKIP() << connection.error().message;
  }
  DaemonProcess daemon(arguments(), environment());
  ASSERT_TRUE(daemon.ready().value("ok", false)) << daemon.said();
  kill(daemon.guardian(), SIGUSR1);
  EXPECT_EQ(daemon.wait(), 0);
  const pid_t guardian = next_guardian(daemon.guardian());
  messages();
  EXPECT_EQ(shell("NOTIFY_SOCKET=" + path_ + " " + PLEATD +
                  " --take-up --size 64M --transport loop --name " + name_ + " 2>/dev/null &"),
            0);
  // Read all the time: the socket holds a few messages only.
  std::string told;
  EXPECT_TRUE(eventually([&] {
    told += messages();
    return told.find("READY=1\nMAINPID=") != std::string::npos;
  })) << told;
  const pid_t next = next_guardian(guardian);
  EXPECT_THAT(told, HasSubstr("READY=1\nMAINPID=" + std::to_string(next)));
  EXPECT_TRUE(eventually([&] { return !is_running(guardian) && !is_running(daemon.worker()); }));
  EXPECT_TRUE(call({{"op", "stop"}}).value("ok", false));
  EXPECT_TRUE(eventually([&] { return !is_running(next); }));
}

}  // namespace
}  // namespace pleat::daemon
