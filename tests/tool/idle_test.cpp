// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat idle` must ask for the pages that are meant, of the device that is meant.
#include "tool/idle.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <sstream>

#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"
#include "tool/fake_system.h"

namespace pleat::tool {
namespace {

class Idle : public ::testing::Test {
 protected:
  Result<void> mark(IdleOptions options) { return mark_idle(options, fake_.system(), out_); }

  control::RuntimeDirectory directory_;
  FakeSystem fake_;
  std::ostringstream out_;
};

TEST_F(Idle, AsksTheDaemonForAllPagesOrThoseOfAnAge) {
  FakeDaemon daemon(status_named("a"));
  daemon.idle_pages = 512;
  ASSERT_TRUE(mark({{"a"}}).has_value());
  ASSERT_TRUE(mark({{"a"}, 720}).has_value());
  EXPECT_EQ(out_.str(), "a: 512 pages (2M) are idle\na: 512 pages (2M) are idle\n");
  ASSERT_EQ(daemon.requests().size(), 2u);
  EXPECT_EQ(daemon.requests()[0], (nlohmann::json{{"op", "idle"}}));
  EXPECT_EQ(daemon.requests()[1], (nlohmann::json{{"op", "idle"}, {"age", 720}}));
}

TEST_F(Idle, WritesToTheAttributeOfKernelZram) {
  fake_.write("/sys/block/zram1/idle", "");
  ASSERT_TRUE(mark({{"/dev/zram1"}}).has_value());
  EXPECT_EQ(fake_.read("/sys/block/zram1/idle"), "all");
  fake_.write("/sys/block/zram1/idle", "");
  ASSERT_TRUE(mark({{"zram1"}, 86'400}).has_value());
  EXPECT_EQ(fake_.read("/sys/block/zram1/idle"), "86400");
  EXPECT_EQ(out_.str(), "/dev/zram1: marked\nzram1: marked\n");
}

TEST_F(Idle, SaysWhatIsMissingAndGoesOn) {
  FakeDaemon daemon(status_named("a"));
  fake_.write("/sys/block/zram2/mm_stat", "");
  const auto marked = mark({{"zram7", "zram2", "nobody", "a"}});
  ASSERT_FALSE(marked.has_value());
  for (const char* word : {"no device zram7", "zram has no idle", "nobody"}) {
    EXPECT_NE(marked.error().message.find(word), std::string::npos) << marked.error().message;
  }
  EXPECT_EQ(out_.str(), "a: 0 pages (0B) are idle\n");
}

}  // namespace
}  // namespace pleat::tool
