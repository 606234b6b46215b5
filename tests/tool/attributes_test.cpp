// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/attributes.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"

namespace pleat::tool {
namespace {

TEST(Assignment, TakesSizesAndZero) {
  EXPECT_EQ(parse_assignment("mem-limit=512M").value().value, 512u << 20);
  EXPECT_EQ(parse_assignment("mem-limit=512M").value().key, "mem_limit");
  EXPECT_EQ(parse_assignment("mem-limit=1G + 1G").value().value, 2ull << 30);
  EXPECT_EQ(parse_assignment("mem-limit=0").value().value, 0u);
  EXPECT_EQ(parse_assignment("mem-used-max=0").value().key, "mem_used_max");
  EXPECT_EQ(parse_assignment("writeback-limit=1G").value().key, "writeback_limit");
  EXPECT_EQ(parse_assignment("writeback-limit=1G").value().value, 1ull << 30);
  EXPECT_EQ(parse_assignment("writeback-limit=0").value().key, "writeback_limit");
  EXPECT_EQ(parse_assignment("writeback-limit=none").value().key, "writeback_limit_enable");
  EXPECT_EQ(parse_assignment("writeback-limit=none").value().value, 0u);
}

TEST(Assignment, RefusesEverythingElse) {
  for (const char* text :
       {"", "=", "mem-limit", "mem-limit=", "mem-limit=x", "mem-limit=-1", "mem-used-max=1",
        "mem-used-max=", "mem-limit=none", "writeback-limit=x", "disksize=4G", "mem_limit=1G"}) {
    const auto assignment = parse_assignment(text);
    ASSERT_FALSE(assignment.has_value()) << text;
    EXPECT_EQ(assignment.error().code, EINVAL) << text;
  }
}

TEST(SetAttributes, SendsThemInTheirOrder) {
  const control::RuntimeDirectory directory;
  const FakeDaemon daemon(status_named("a"));
  ASSERT_TRUE(set_attributes("a", {{"mem_limit", 8192}, {"mem_used_max", 0}}).has_value());
  ASSERT_EQ(daemon.requests().size(), 2u);
  EXPECT_EQ(daemon.requests()[0],
            (nlohmann::json{{"op", "set"}, {"key", "mem_limit"}, {"value", 8192}}));
  EXPECT_EQ(daemon.requests()[1]["key"], "mem_used_max");
}

TEST(SetAttributes, StopsAtTheFirstThatIsRefused) {
  const control::RuntimeDirectory directory;
  FakeDaemon daemon(status_named("a"));
  daemon.refusal = Error{EINVAL, "no such attribute"};
  const auto set = set_attributes("/dev/ublkb0", {{"mem_limit", 8192}, {"mem_used_max", 0}});
  ASSERT_FALSE(set.has_value());
  EXPECT_EQ(set.error().message, "no such attribute");
  EXPECT_EQ(daemon.requests().size(), 1u);
}

TEST(SetAttributes, OfNoDeviceIsAnError) {
  const control::RuntimeDirectory directory;
  EXPECT_EQ(set_attributes("nobody", {{"mem_limit", 0}}).error().code, ENOENT);
}

}  // namespace
}  // namespace pleat::tool
