// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/upgrade.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "control/runtime_directory.h"
#include "tool/fake_pleatd.h"

namespace pleat::tool {
namespace {

class Upgrade : public ::testing::Test {
 protected:
  Upgrade() { std::ofstream(directory_.path() + "/a.json") << "{}"; }

  Result<void> upgrade(const std::vector<std::string>& names, unsigned timeout_ms = 20'000) {
    return upgrade_devices({.names = names, .ready_timeout_ms = timeout_ms}, notes_);
  }

  control::RuntimeDirectory directory_;
  std::ostringstream notes_;
};

TEST_F(Upgrade, TheNewDaemonIsLeftRunning) {
  const FakePleatd fake(directory_, FakePleatd::kReady);
  const auto upgraded = upgrade({"a"});
  ASSERT_TRUE(upgraded.has_value()) << upgraded.error().message;
  EXPECT_EQ(fake.calls().find("--succeed a --ready-fd "), 0u) << fake.calls();
  EXPECT_TRUE(fake.is_alive());
  EXPECT_NE(
      notes_.str().find("a (/dev/ublkb7) is served by process " + std::to_string(fake.last_pid())),
      std::string::npos)
      << notes_.str();
}

TEST_F(Upgrade, TheNewDaemonsErrorIsPassedOnWithTheName) {
  const FakePleatd fake(directory_,
                        "echo '{\"ok\":false,\"code\":71,\"error\":\"no such layout\"}' >&$fd\n"
                        "exit 1\n");
  const auto upgraded = upgrade({"a"});
  ASSERT_FALSE(upgraded.has_value());
  EXPECT_EQ(upgraded.error().code, EPROTO);
  EXPECT_EQ(upgraded.error().message, "a: no such layout");
}

TEST_F(Upgrade, ADaemonThatDiesOrHangsIsAnErrorAndIsEnded) {
  {
    const FakePleatd fake(directory_, "echo last words >&2\nexit 3\n");
    const auto upgraded = upgrade({"a"});
    ASSERT_FALSE(upgraded.has_value());
    EXPECT_NE(upgraded.error().message.find("last words"), std::string::npos);
  }
  const FakePleatd fake(directory_, "exec sleep 100\n");
  EXPECT_EQ(upgrade({"a"}, 200).error().code, ETIMEDOUT);
  EXPECT_FALSE(fake.is_alive());
}

TEST_F(Upgrade, GoesOnWithTheNextDevice) {
  std::ofstream(directory_.path() + "/b.json") << "{}";
  const FakePleatd fake(directory_,
                        "echo '{\"ok\":false,\"code\":71,\"error\":\"no\"}' >&$fd\nexit 1\n");
  const auto upgraded = upgrade({"a", "nobody", "b"});
  ASSERT_FALSE(upgraded.has_value());
  EXPECT_EQ(upgraded.error().message, "a: no; no device nobody; see pleat list; b: no");
}

TEST_F(Upgrade, AllOfNoneIsNoError) {
  const FakePleatd fake(directory_, "exit 1\n");
  ASSERT_TRUE(upgrade_devices({.all = true}, notes_).has_value());
  EXPECT_EQ(notes_.str(), "pleat: there are no devices\n");
}

}  // namespace
}  // namespace pleat::tool
