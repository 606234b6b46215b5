// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/mounts.h"

#include <gtest/gtest.h>

#include "tool/fake_system.h"

namespace pleat::tool {
namespace {

TEST(Mounts, KnowSwapByItsWholePath) {
  FakeSystem kernel;
  EXPECT_FALSE(is_swap("/dev/ublkb1", kernel.system()));
  kernel.set_swap("/dev/ublkb1");
  EXPECT_TRUE(is_swap("/dev/ublkb1", kernel.system()));
  EXPECT_FALSE(is_swap("/dev/ublkb10", kernel.system()));
  EXPECT_FALSE(is_swap("/dev/ublkb", kernel.system()));
  EXPECT_EQ(mount_points("/dev/ublkb1", kernel.system()), (std::vector<std::string>{"[SWAP]"}));
}

TEST(Mounts, FindEveryMountOfTheDevice) {
  FakeSystem kernel;
  kernel.write("/proc/self/mountinfo",
               "22 26 0:21 / /sys rw,relatime - sysfs sysfs rw\n"
               "30 26 259:3 / /mnt/a\\040b rw shared:1 master:2 - ext4 /dev/ublkb1 rw\n"
               "31 26 259:3 /sub /srv rw - ext4 /dev/ublkb1 rw\n"
               "32 26 259:4 / /other rw - ext4 /dev/ublkb10 rw\n"
               "nonsense\n\n");
  EXPECT_EQ(mount_points("/dev/ublkb1", kernel.system()),
            (std::vector<std::string>{"/mnt/a b", "/srv"}));
}

TEST(Mounts, WithoutProcThereAreNone) {
  FakeSystem kernel;
  std::filesystem::remove_all(kernel.path("/proc"));
  EXPECT_FALSE(is_swap("/dev/ublkb1", kernel.system()));
  EXPECT_TRUE(mount_points("/dev/ublkb1", kernel.system()).empty());
}

TEST(KernelRelease, ComparesAsNumbers) {
  System system;
  const auto at_least_6_12 = [&](const char* release) {
    system.kernel_release = release;
    return system.kernel_at_least(6, 12);
  };
  EXPECT_TRUE(at_least_6_12("6.12.0-amd64"));
  EXPECT_TRUE(at_least_6_12("7.1"));
  EXPECT_FALSE(at_least_6_12("6.2.0"));
  EXPECT_FALSE(at_least_6_12("5.19"));
  EXPECT_FALSE(at_least_6_12(""));
}

}  // namespace
}  // namespace pleat::tool
