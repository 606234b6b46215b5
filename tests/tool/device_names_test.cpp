// SPDX-License-Identifier: MIT OR Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <vector>

#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"
#include "tool/names.h"

namespace pleat::tool {
namespace {

TEST(NaturalOrder, IsTheOneThatPeopleCountIn) {
  const std::vector<std::string> ordered = {
      "0",     "1",      "9",      "10",      "A",        "a",      "a1b2", "a1b10", "a2", "a10",
      "pleat", "pleat0", "pleat2", "pleat10", "pleat10a", "pleatx", "x007", "x07",   "x7", "x8"};
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    for (std::size_t j = 0; j < ordered.size(); ++j) {
      EXPECT_EQ(natural_less(ordered[i], ordered[j]), i < j) << ordered[i] << " " << ordered[j];
    }
  }
}

TEST(NaturalOrder, ComparesNumbersThatNoIntegerHolds) {
  const std::string nines(30, '9');
  EXPECT_TRUE(natural_less("a" + nines, "a1" + nines));
  EXPECT_FALSE(natural_less("a1" + nines, "a" + nines));
}

TEST(DefaultName, IsTheFirstThatNoDeviceLivingOrDeadHas) {
  const control::RuntimeDirectory directory;
  EXPECT_EQ(first_free_name(), "pleat0");
  const FakeDaemon living(status_named("pleat0"));
  leave_dead_socket("pleat1");
  std::ofstream(directory.path() + "/pleat2.json") << "{}";
  std::ofstream(directory.path() + "/pleat3.log") << "a log alone is no device";
  EXPECT_EQ(first_free_name(), "pleat3");
}

TEST(DeviceArgument, MayBeANameOrAPath) {
  const control::RuntimeDirectory directory;
  control::DeviceStatus status = status_named("a");
  status.path = "/dev/ublkb7";
  const FakeDaemon a(status);
  const FakeDaemon b(status_named("b"));
  EXPECT_EQ(resolve_name("b").value(), "b");
  EXPECT_EQ(resolve_name("unknown").value(), "unknown");
  EXPECT_EQ(resolve_name("/dev/ublkb7").value(), "a");
  EXPECT_EQ(resolve_name("/dev/sda").error().code, ENOENT);
  EXPECT_EQ(resolve_name("../a").error().code, EINVAL);
  EXPECT_EQ(resolve_name("").error().code, EINVAL);
}

}  // namespace
}  // namespace pleat::tool
