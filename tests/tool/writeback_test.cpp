// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat writeback` must ask for what is meant, go on until all is done, and count it all.
#include "tool/writeback.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <sstream>

#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"
#include "tool/fake_system.h"

namespace pleat::tool {
namespace {

using nlohmann::json;

json written(std::uint64_t pages, std::uint64_t blocks, std::uint64_t freed, std::uint64_t next,
             const char* end, int error = 0) {
  return {{"pages_written", pages},
          {"blocks_written", blocks},
          {"bytes_freed", freed},
          {"next", next},
          {"end", end},
          {"error", error}};
}

class Writeback : public ::testing::Test {
 protected:
  Result<void> run(const WritebackOptions& options) {
    return write_devices_back(options, fake_.system(), out_);
  }
  std::string attribute() const { return fake_.read("/sys/block/zram0/writeback"); }

  control::RuntimeDirectory directory_;
  FakeSystem fake_;
  std::ostringstream out_;
};

TEST(PageRangeText, IsANumberOrTwo) {
  EXPECT_EQ(parse_page_range("7").value().first, 7u);
  EXPECT_EQ(parse_page_range("7").value().last, 7u);
  EXPECT_EQ(parse_page_range("0-18446744073709551614").value().last, UINT64_MAX - 1);
  for (const char* text : {"", "-", "7-", "-7", "7-6", "x", "7-8-9", "7 ", "+7", "0x7",
                           "18446744073709551615", "99999999999999999999"}) {
    EXPECT_EQ(parse_page_range(text).error().code, EINVAL) << text;
  }
}

TEST_F(Writeback, GoesOnUntilAllIsDone) {
  FakeDaemon daemon(status_named("a"));
  daemon.written = {written(3, 2, 1000, 70, "paused"), written(2, 1, 24, 100, "done")};
  ASSERT_TRUE(run({{"a"}, "idle"}).has_value());
  EXPECT_EQ(out_.str(), "a: 5 pages written back in 3 blocks (12K), 1K of memory freed\n");
  ASSERT_EQ(daemon.requests().size(), 2u);
  EXPECT_EQ(daemon.requests()[0], (json{{"op", "writeback"}, {"type", "idle"}}));
  EXPECT_EQ(daemon.requests()[1], (json{{"op", "writeback"}, {"type", "idle"}, {"first", 70}}));
}

TEST_F(Writeback, AsksForThePagesThatAreMeantAndNoMore) {
  FakeDaemon daemon(status_named("a"));
  daemon.written = {written(3, 2, 1000, 6, "done"), written(2, 2, 24, 95, "paused"),
                    written(5, 2, 24, 97, "paused")};
  ASSERT_TRUE(run({{"a"}, "", {{5, 5}, {90, 99}}, 10}).has_value());
  ASSERT_EQ(daemon.requests().size(), 3u);
  EXPECT_EQ(daemon.requests()[0],
            (json{{"op", "writeback"}, {"first", 5}, {"end", 6}, {"max_pages", 10}}));
  EXPECT_EQ(daemon.requests()[1],
            (json{{"op", "writeback"}, {"first", 90}, {"end", 100}, {"max_pages", 7}}));
  EXPECT_EQ(daemon.requests()[2],
            (json{{"op", "writeback"}, {"first", 95}, {"end", 100}, {"max_pages", 5}}));
  EXPECT_EQ(out_.str(), "a: 10 pages written back in 6 blocks (24K), 1K of memory freed\n");
}

TEST_F(Writeback, WritesNoMoreWhereTheFirstRangeHadEnough) {
  FakeDaemon daemon(status_named("a"));
  daemon.written = {written(10, 2, 1000, 10, "done")};
  ASSERT_TRUE(run({{"a"}, "", {{0, 9}, {20, 99}}, 10}).has_value());
  EXPECT_EQ(daemon.requests().size(), 1u);
}

TEST_F(Writeback, SaysWhatKeptTheRestAndHowFarItGot) {
  FakeDaemon daemon(status_named("a"));
  const auto refused = [&](const char* end, int error, int code, const char* text) {
    daemon.written = {written(3, 2, 1000, 70, "paused"), written(1, 1, 24, 90, end, error)};
    const auto done = run({{"a"}, "huge"});
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().code, code);
    EXPECT_NE(done.error().message.find(text), std::string::npos) << done.error().message;
    EXPECT_NE(done.error().message.find("4 pages"), std::string::npos) << done.error().message;
  };
  refused("limit", 0, EDQUOT, "pleat set a writeback-limit=");
  refused("full", 0, ENOSPC, "is full");
  refused("failed", EIO, EIO, "Input/output error");
  daemon.written = {json{{"end", "done"}}};
  EXPECT_EQ(run({{"a"}, "huge"}).error().code, EBADMSG);
  daemon.written = {};
  EXPECT_EQ(run({{"a"}, "huge"}).error().code, ENOMEM);
  EXPECT_EQ(out_.str(), "");
}

TEST_F(Writeback, WritesToTheAttributeOfKernelZram) {
  fake_.write("/sys/block/zram0/bd_stat", "       5       0       7\n");
  fake_.write("/sys/block/zram0/writeback", "");
  ASSERT_TRUE(run({{"zram0"}, "huge_idle"}).has_value());
  EXPECT_EQ(attribute(), "huge_idle");
  EXPECT_EQ(out_.str(), "zram0: 0 pages written back\n");
  fake_.write("/sys/block/zram0/writeback", "");
  ASSERT_TRUE(run({{"/dev/zram0"}, "idle", {{5, 5}, {90, 99}}}).has_value());
  EXPECT_EQ(attribute(), "type=idle page_indexes=5-5 page_indexes=90-99");
  EXPECT_EQ(run({{"zram0"}, "idle", {}, 3}).error().code, EOPNOTSUPP);
}

TEST_F(Writeback, SaysWhatKernelZramLacks) {
  fake_.write("/sys/block/zram0/bd_stat", "0 0 0\n");
  const auto done = run({{"zram0", "zram1"}, "idle"});
  ASSERT_FALSE(done.has_value());
  EXPECT_NE(done.error().message.find("zram has no writeback"), std::string::npos);
  EXPECT_NE(done.error().message.find("no device zram1"), std::string::npos);
}

}  // namespace
}  // namespace pleat::tool
