// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/stat_report.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "tool/show_fixture.h"

namespace pleat::tool {
namespace {

class Stat : public ShowTest {
 protected:
  std::string stat(const StatOptions& options) { return shown(show_stat, options); }
};

TEST_F(Stat, TellsPeopleWhatTheyWantToKnow) {
  const FakeDaemon daemon(status_named("pleat0"));
  EXPECT_EQ(stat({.name = "pleat0"}),
            R"(pleat0: /dev/ublkb0, 4G, lz4 (avx2)
  Size            4G, can be set to 16G
  Transport       ublk: this kernel has it
  Features        USER_COPY CMD_IOCTL_ENCODE
  Queues          2 of 64 requests, blocks of 512 bytes
  Daemon          pid 4711, 5 stand-bys, 4 take-overs, version 0.1.0, up 1m 1s
  Used as         nothing now

  Pages stored    10000, 39.1M
  Memory          12.5M for them (11.4M compressed), at most 13.4M so far, limit 1G
  Ratio           3.11 (pages over the memory they take; 3.40 over their compressed bytes)
  Same-filled     1500 pages, 15.0%
  Incompressible  77 pages, 0.8%; 88 since the start
  Recompressed    19 pages with lz4hc, 20B saved since the start; 55 in groups now
  WRITEBACK       52 pages cannot be read: the backing device has not the label that the store has written
  Discarded       12345 pages
  Failed          9 reads, 10 writes (17 for want of memory at that moment, 18 at the memory limit), 11 invalid requests
  CORRUPT         16 pages failed their check when they were read; test this machine's memory

  Reads           22 requests, 21.9M; p50 2.40us, p90 2.50us, p99 26.0us, p99.9 27.0us, max 28.0ms
  Writes          32 requests, 31.5M; p50 3.40us, p90 3.50us, p99 36.0us, p99.9 37.0us, max 38.0ms
  Discards        42 requests, 41M; p50 4.40us, p90 4.50us, p99 46.0us, p99.9 47.0us, max 48.0ms
  Busy            2.10s of all queue threads together; 53.4M moved, 25.4M/s of busy time

  Own memory      20M for the daemon's processes, 8M for the slot table, 177.7K for headers and bitmaps, 7M ready for writes
  Resident        30M of the store's memory in all
)");
  EXPECT_TRUE(result_.has_value());
}

TEST_F(Stat, OfAnEmptyDeviceDividesByNothing) {
  control::DeviceStatus status;
  status.name = "new";
  status.path = "/dev/loop3";
  status.transport = "loop";
  status.transport_reason = "loop: no ublk";
  const FakeDaemon daemon(status);
  const std::string text = stat({.name = "new"});
  EXPECT_NE(text.find("  Ratio           - (nothing takes memory)\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  Same-filled     0 pages, none stored\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  Reads           none yet\n"), std::string::npos) << text;
  EXPECT_NE(text.find("no limit"), std::string::npos) << text;
  EXPECT_EQ(text.find("nan"), std::string::npos);
  EXPECT_EQ(text.find("inf"), std::string::npos);
  EXPECT_EQ(text.find("CORRUPT"), std::string::npos);
  EXPECT_EQ(text.find("ritten back"), std::string::npos);
}

TEST_F(Stat, SaysWhatIsOnTheWritebackDevice) {
  control::DeviceStatus status = status_named("new");
  status.backing_error = "";
  status.writeback_limit_enable = 0;
  FakeDaemon daemon(status);
  EXPECT_NE(
      stat({.name = "new"})
          .find("  Written back    52 pages in 52K of 256M (/dev/sdb1), 56K read, 60K written, "
                "51 failures, no limit\n"),
      std::string::npos)
      << stat({.name = "new"});
  daemon.status.writeback_limit_enable = 1;
  EXPECT_NE(stat({.name = "new"}).find("212K may still be written\n"), std::string::npos);
  daemon.status.backing_error = "it is gone";
  EXPECT_NE(stat({.name = "new"}).find("  WRITEBACK       52 pages cannot be read: it is gone\n"),
            std::string::npos);
}

TEST_F(Stat, ExplainsMissingZeroPagesOnlyWhereTheyAreMissing) {
  const FakeDaemon daemon(status_named("a"));
  const auto explains = [&] { return stat({.name = "a"}).find("all-zero") != std::string::npos; };
  EXPECT_FALSE(explains());
  kernel_.set_swap("/dev/ublkb0");
  EXPECT_FALSE(explains());
  kernel_.system().kernel_release = "6.12.1";
  EXPECT_TRUE(explains());
  kernel_.set_swap("");
  EXPECT_FALSE(explains());
}

TEST_F(Stat, PrintsZramsLinesAndNothingElse) {
  const FakeDaemon daemon(status_named("a"));
  const std::string mm =
      "40960000 12000001 13107200 1073741824 14000128     1500        6       77       88\n";
  const std::string io = "       9       10       11    12345\n";
  const std::string bd = "      13       14       15\n";
  EXPECT_EQ(stat({.name = "a", .mm_stat = true}), mm);
  EXPECT_EQ(stat({.name = "a", .io_stat = true}), io);
  EXPECT_EQ(stat({.name = "a", .bd_stat = true}), bd);
  EXPECT_EQ(stat({.name = "a", .mm_stat = true, .io_stat = true, .bd_stat = true}), mm + io + bd);
}

TEST_F(Stat, JsonIsTheStatusAndWhereItIsUsed) {
  const FakeDaemon daemon(status_named("pleat0"));
  kernel_.set_swap("/dev/ublkb0");
  nlohmann::json expected = control::to_json(control::sample_status());
  expected["mountpoint"] = {"[SWAP]"};
  EXPECT_EQ(nlohmann::json::parse(stat({.name = "/dev/ublkb0", .json = true})), expected);
}

TEST_F(Stat, OfNoDeviceIsAnError) {
  EXPECT_EQ(stat({.name = "nobody"}), "");
  EXPECT_EQ(result_.error().code, ENOENT);
  leave_dead_socket("dead");
  EXPECT_EQ(stat({.name = "dead"}), "");
  EXPECT_EQ(result_.error().code, ECONNREFUSED);
}

}  // namespace
}  // namespace pleat::tool
