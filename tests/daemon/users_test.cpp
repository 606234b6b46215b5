// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/users.h"

#include <gmock/gmock.h>

#include <cerrno>

#include "daemon/fake_roots.h"

namespace pleat::daemon {
namespace {

using testing::HasSubstr;

const BlockDevice kDevice{"/dev/pleat-fake3", 259, 77};

std::vector<Use> uses_in(const FakeRoots& fake, const std::vector<pid_t>& ignored = {}) {
  return find_uses(kDevice, "demo", ignored, fake.roots());
}

TEST(Users, ADeviceThatNothingUsesHasNone) {
  FakeRoots fake;
  fake.file("proc/swaps", "Filename Type Size Used Priority\n/dev/pleat-fake33 partition 1 0 -2\n");
  fake.file("proc/self/mountinfo",
            "22 1 259:7 / / rw - ext4 /dev/root rw\n23 1 59:77 / /a rw - ext4 /dev/b rw\n");
  fake.link("proc/41/fd/0", "/dev/pleat-fake33");
  fake.file("sys/block/loop7/loop/backing_file", "/dev/pleat-fake33\n");
  EXPECT_TRUE(uses_in(fake).empty());
}

TEST(Users, SwapIsNamedWithTheCommandThatEndsIt) {
  FakeRoots fake;
  fake.file("proc/swaps",
            "Filename Type Size Used Priority\n/swap\\040file file 9 0 -3\n"
            "/dev/pleat-fake3 partition 65532 0 -2\n");
  const auto uses = uses_in(fake);
  ASSERT_EQ(uses.size(), 1u);
  EXPECT_TRUE(uses[0].lasts());
  EXPECT_EQ(describe_uses(kDevice, uses),
            "/dev/pleat-fake3 is in use as swap; run: swapoff /dev/pleat-fake3 "
            "(or pleat remove demo --swapoff)");
}

TEST(Users, MountsAreFoundByNumberAndBySource) {
  FakeRoots fake;
  fake.file("proc/self/mountinfo",
            "30 1 259:77 / /mnt/a\\040b rw,noatime shared:1 - ext4 /dev/other rw\n"
            "31 1 0:45 / /mnt/pool rw - btrfs /dev/pleat-fake3 rw\n");
  const auto uses = uses_in(fake);
  ASSERT_EQ(uses.size(), 2u);
  EXPECT_EQ(uses[0].text, "mounted on /mnt/a b");
  EXPECT_EQ(uses[1].remedy, "umount /mnt/pool");
  EXPECT_THAT(describe_uses(kDevice, uses),
              HasSubstr("mounted on /mnt/a b and mounted on /mnt/pool; run: umount"));
}

TEST(Users, DevicesStackedOnItAreFound) {
  FakeRoots fake;
  fake.folder("sys/block/pleat-fake3/holders/dm-4");
  fake.folder("sys/block/pleat-fake3/holders/md0");
  fake.file("sys/block/loop7/loop/backing_file", "/dev/pleat-fake3\n");
  const auto uses = uses_in(fake);
  ASSERT_EQ(uses.size(), 3u);
  EXPECT_EQ(uses[0].remedy, "dmsetup remove /dev/dm-4");
  EXPECT_EQ(uses[1].remedy, "mdadm --stop /dev/md0");
  EXPECT_EQ(uses[2].remedy, "losetup -d /dev/loop7");
  for (const Use& use : uses) EXPECT_TRUE(use.lasts());
}

TEST(Users, OpenersAreNamedOnceAndTheDaemonItselfNever) {
  FakeRoots fake;
  fake.link("proc/41/fd/0", "/dev/null");
  fake.link("proc/41/fd/3", "/dev/pleat-fake3");
  fake.link("proc/41/fd/4", "/dev/pleat-fake3");
  fake.file("proc/41/comm", "dd\n");
  fake.link("proc/42/fd/9", "/dev/pleat-fake3");
  const auto uses = uses_in(fake, {42});
  ASSERT_EQ(uses.size(), 1u);
  EXPECT_EQ(uses[0].text, "open in process 41 (dd)");
  EXPECT_EQ(uses[0].remedy, "kill 41");
  EXPECT_FALSE(uses[0].lasts());
}

TEST(Users, WhatIsNoBlockDeviceIsRefused) {
  EXPECT_EQ(block_device("/dev/null").error().code, ENOTBLK);
  EXPECT_EQ(block_device("/dev/pleat-fake3").error().code, ENOENT);
}

TEST(Users, AClaimOnAMissingDeviceSaysSo) {
  FakeRoots fake;
  const auto claim = claim_device(kDevice, "demo", {}, 0, fake.roots());
  ASSERT_FALSE(claim);
  EXPECT_EQ(claim.error().code, ENOENT);
}

}  // namespace
}  // namespace pleat::daemon
