// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat recompress` must ask for what is meant, go on until all is done, and count it all.
#include "tool/recompress.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <sstream>

#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"
#include "tool/fake_system.h"

namespace pleat::tool {
namespace {

using nlohmann::json;

json slice(std::uint64_t recompressed, std::uint64_t kept, std::uint64_t saved, std::uint64_t next,
           bool done) {
  return {{"pages_recompressed", recompressed},
          {"pages_kept", kept},
          {"bytes_saved", saved},
          {"next", next},
          {"done", done}};
}

class Recompress : public ::testing::Test {
 protected:
  Result<void> run(const RecompressOptions& options) {
    return recompress_devices(options, fake_.system(), out_);
  }
  std::string attribute(const std::string& name) const {
    return fake_.read("/sys/block/zram0/" + name);
  }

  control::RuntimeDirectory directory_;
  FakeSystem fake_;
  std::ostringstream out_;
};

TEST_F(Recompress, GoesOnUntilAllIsDone) {
  FakeDaemon daemon(status_named("a"));
  daemon.recompressed = {slice(3, 1, 1000, 70, false), slice(2, 5, 24, 100, true)};
  ASSERT_TRUE(run({{"a"}}).has_value());
  EXPECT_EQ(out_.str(), "a: 5 pages recompressed (1K saved), 6 left as they are\n");
  ASSERT_EQ(daemon.requests().size(), 2u);
  EXPECT_EQ(daemon.requests()[0], (json{{"op", "recompress"}}));
  EXPECT_EQ(daemon.requests()[1], (json{{"op", "recompress"}, {"first", 70}}));
}

TEST_F(Recompress, SaysWhatWasTakenOutOfGroups) {
  FakeDaemon daemon(status_named("a"));
  json first = slice(3, 1, 1000, 70, false);
  first["pages_parted"] = 4;
  json last = slice(0, 0, 0, 100, true);
  last["pages_parted"] = 3;
  daemon.recompressed = {first, last};
  ASSERT_TRUE(run({{"a"}}).has_value());
  EXPECT_EQ(out_.str(),
            "a: 3 pages recompressed (1000B saved), 1 left as they are, 7 of groups that had lost "
            "pages\n");
}

TEST_F(Recompress, DevicesOfKernelZramCompressByThemselves) {
  fake_.write("/sys/block/zram0/recompress", "");
  const auto done = run({.names = {"zram0"}, .gpu = GpuBatchOptions{}});
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, EOPNOTSUPP);
  EXPECT_EQ(attribute("recompress"), "");
}

TEST_F(Recompress, AsksForThePagesThatAreMeantAndNoMore) {
  FakeDaemon daemon(status_named("a"));
  daemon.recompressed = {slice(3, 1, 1000, 70, false), slice(2, 4, 24, 90, false)};
  ASSERT_TRUE(run({{"a"}, "huge_idle", 3000, 10, "lz4hc"}).has_value());
  ASSERT_EQ(daemon.requests().size(), 2u);
  json expected{{"op", "recompress"},
                {"type", "huge_idle"},
                {"threshold", 3000},
                {"max_pages", 10},
                {"algorithm", "lz4hc"}};
  EXPECT_EQ(daemon.requests()[0], expected);
  expected["max_pages"] = 6;
  expected["first"] = 70;
  EXPECT_EQ(daemon.requests()[1], expected);
}

TEST_F(Recompress, SaysHowFarItGot) {
  FakeDaemon daemon(status_named("a"));
  daemon.recompressed = {slice(3, 1, 1000, 70, false)};
  const auto done = run({{"a"}});
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ENOMEM);
  EXPECT_NE(done.error().message.find("after 4 pages"), std::string::npos);
  daemon.recompressed = {json{{"done", true}}};
  EXPECT_EQ(run({{"a"}}).error().code, EBADMSG);
  EXPECT_EQ(out_.str(), "");
}

TEST_F(Recompress, WritesToTheAttributeOfKernelZram) {
  fake_.write("/sys/block/zram0/mm_stat", "    8192     4096    12288  0  12288  0  5  0  0\n");
  fake_.write("/sys/block/zram0/recompress", "");
  ASSERT_TRUE(run({{"zram0"}}).has_value());
  EXPECT_EQ(attribute("recompress"), "threshold=0");
  EXPECT_EQ(out_.str(), "zram0: 0B saved\n");
  fake_.write("/sys/block/zram0/recompress", "");
  ASSERT_TRUE(run({{"/dev/zram0"}, "idle", 3000, 10, "zstd"}).has_value());
  EXPECT_EQ(attribute("recompress"), "threshold=3000 type=idle max_pages=10 algo=zstd");
}

TEST_F(Recompress, SaysWhatKernelZramLacks) {
  fake_.write("/sys/block/zram0/mm_stat", "0 0 0 0 0 0 0 0 0\n");
  const auto done = run({{"zram0", "zram1"}});
  ASSERT_FALSE(done.has_value());
  EXPECT_NE(done.error().message.find("zram has no recompress"), std::string::npos);
  EXPECT_NE(done.error().message.find("no device zram1"), std::string::npos);
}

}  // namespace
}  // namespace pleat::tool
