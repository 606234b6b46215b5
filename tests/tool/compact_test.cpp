// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat compact` must reach the device that is meant, whosever it is.
#include "tool/compact.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <sstream>

#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"
#include "tool/fake_system.h"

namespace pleat::tool {
namespace {

class Compact : public ::testing::Test {
 protected:
  // Makes a kernel zram device of the fake system.
  void make_zram(const std::string& name) {
    fake_.write("/sys/block/" + name + "/mm_stat",
                "    8192     4096    12288  0  12288  0  5  0  0\n");
    fake_.write("/sys/block/" + name + "/compact", "");
  }

  control::RuntimeDirectory directory_;
  FakeSystem fake_;
  std::ostringstream out_;
};

TEST_F(Compact, AsksTheDaemonAndSaysWhatItFreed) {
  FakeDaemon daemon(status_named("a"));
  daemon.pages_to_compact = 512;
  ASSERT_TRUE(compact_devices({"a"}, fake_.system(), out_).has_value());
  EXPECT_EQ(out_.str(), "a: 512 pages (2M) freed\n");
  ASSERT_EQ(daemon.requests().size(), 1u);
  EXPECT_EQ(daemon.requests()[0], (nlohmann::json{{"op", "compact"}}));
}

TEST_F(Compact, WritesToTheAttributeOfKernelZram) {
  make_zram("zram0");
  make_zram("zram12");
  ASSERT_TRUE(compact_devices({"/dev/zram12"}, fake_.system(), out_).has_value());
  EXPECT_EQ(fake_.read("/sys/block/zram12/compact"), "1");
  EXPECT_EQ(fake_.read("/sys/block/zram0/compact"), "");
  EXPECT_EQ(out_.str(), "/dev/zram12: 0 pages (0B) freed\n");
  ASSERT_TRUE(compact_devices({"zram0"}, fake_.system(), out_).has_value());
  EXPECT_EQ(fake_.read("/sys/block/zram0/compact"), "1");
}

TEST_F(Compact, APleatDeviceOfZramsNameGoesFirst) {
  make_zram("zram0");
  FakeDaemon daemon(status_named("zram0"));
  ASSERT_TRUE(compact_devices({"zram0"}, fake_.system(), out_).has_value());
  EXPECT_EQ(daemon.requests().size(), 1u);
  EXPECT_EQ(fake_.read("/sys/block/zram0/compact"), "");
}

TEST_F(Compact, GoesOnAfterAFailureAndNamesAll) {
  FakeDaemon daemon(status_named("a"));
  const auto done = compact_devices({"nobody", "zram7", "a", "zramx"}, fake_.system(), out_);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, ENOENT);
  for (const char* name : {"nobody", "zram7", "zramx"}) {
    EXPECT_NE(done.error().message.find(name), std::string::npos) << done.error().message;
  }
  EXPECT_EQ(out_.str(), "a: 0 pages (0B) freed\n");
}

TEST_F(Compact, ADaemonThatRefusesIsAnError) {
  FakeDaemon daemon(status_named("a"));
  daemon.refusal = Error{ENODEV, "the device is gone"};
  const auto done = compact_devices({"a"}, fake_.system(), out_);
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().message, "the device is gone");
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace pleat::tool
