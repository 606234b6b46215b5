// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/zram_peer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/page.h"
#include "tool/page_set.h"

namespace pleat::tool {
namespace {

class ZramPeerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access("/sys/class/zram-control/hot_add", R_OK) != 0) {
      GTEST_SKIP() << "needs root and a kernel with zram";
    }
  }
  static bool exists(int id) {
    return std::filesystem::exists("/sys/block/zram" + std::to_string(id));
  }
};

TEST_F(ZramPeerTest, HoldsPagesAndLeavesNoDeviceBehind) {
  int id = -1;
  {
    Result<std::unique_ptr<ZramPeer>> peer = ZramPeer::create(64 * kPageSize, "lz4");
    ASSERT_TRUE(peer) << peer.error().message;
    id = (*peer)->id();
    EXPECT_TRUE(exists(id));
    const StoreSubject subject = (*peer)->subject(0);
    const std::vector<PageSet> sets = synthetic_page_sets(8, 1);
    PageBuffer page(kPageSize);
    for (std::size_t i = 0; i < 8; ++i) {
      ASSERT_TRUE(subject.write(i, sets[1].page(i)));
      ASSERT_TRUE(subject.read(i, page.data()));
      EXPECT_EQ(std::memcmp(page.data(), sets[1].page(i), kPageSize), 0);
    }
    Result<ZramPeer::Memory> memory = (*peer)->memory();
    ASSERT_TRUE(memory) << memory.error().message;
    EXPECT_EQ(memory->stored_bytes, 8 * kPageSize);
    EXPECT_GT(memory->used_bytes, 0u);
    for (std::size_t i = 0; i < 8; ++i) ASSERT_TRUE(subject.discard(i));
    EXPECT_EQ((*peer)->memory()->stored_bytes, 0u);
    EXPECT_FALSE(subject.write(64, page.data())) << "behind the end";
  }
  EXPECT_FALSE(exists(id));
}

TEST_F(ZramPeerTest, SameFilledPagesTakeNoMemory) {
  Result<std::unique_ptr<ZramPeer>> peer = ZramPeer::create(64 * kPageSize, "lz4");
  ASSERT_TRUE(peer) << peer.error().message;
  const StoreSubject subject = (*peer)->same_filled_subject(32);
  for (std::size_t i = 0; i < 32; ++i) ASSERT_TRUE(subject.write(i, nullptr));
  Result<ZramPeer::Memory> memory = (*peer)->memory();
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->stored_bytes, 32 * kPageSize);
  EXPECT_EQ(memory->used_bytes, 0u);
}

TEST_F(ZramPeerTest, AFailedSetUpLeavesNoDeviceBehind) {
  const auto devices = [] {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/block")) {
      count += entry.path().filename().string().starts_with("zram") ? 1 : 0;
    }
    return count;
  };
  const std::size_t before = devices();
  Result<std::unique_ptr<ZramPeer>> peer = ZramPeer::create(64 * kPageSize, "no-such-algorithm");
  EXPECT_FALSE(peer);
  EXPECT_EQ(devices(), before);
}

TEST_F(ZramPeerTest, SignalsWaitUntilTheDeviceIsGone) {
  static volatile sig_atomic_t devices_at_signal = -1;
  static int id = -1;
  struct sigaction action {};
  action.sa_handler = [](int) {
    const std::string path = "/sys/block/zram" + std::to_string(id);
    devices_at_signal = ::access(path.c_str(), F_OK) == 0 ? 1 : 0;
  };
  struct sigaction old {};
  ASSERT_EQ(::sigaction(SIGTERM, &action, &old), 0);
  {
    Result<std::unique_ptr<ZramPeer>> peer = ZramPeer::create(64 * kPageSize, "lz4");
    ASSERT_TRUE(peer) << peer.error().message;
    id = (*peer)->id();
    EXPECT_FALSE(BlockedSignals::pending());
    ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
    EXPECT_TRUE(BlockedSignals::pending());
    EXPECT_EQ(devices_at_signal, -1);
  }
  EXPECT_EQ(devices_at_signal, 0);
  ::sigaction(SIGTERM, &old, nullptr);
}

}  // namespace
}  // namespace pleat::tool
