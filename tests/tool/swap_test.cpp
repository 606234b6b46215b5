// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/swap.h"

#include <gtest/gtest.h>

#include "tool/fake_system.h"

namespace pleat::tool {
namespace {

TEST(SwapFlags, AreTheKernels) {
  // include/linux/swap.h: SWAP_FLAG_PREFER 0x8000, _DISCARD 0x10000, _DISCARD_PAGES 0x40000.
  EXPECT_EQ(swap_flags({.priority = 0, .discard = false}), 0x8000);
  EXPECT_EQ(swap_flags({.priority = 100, .discard = false}), 0x8064);
  EXPECT_EQ(swap_flags({.priority = 32767, .discard = true}), 0x5ffff);
  EXPECT_EQ(swap_flags({}), 0x58064);
}

TEST(SwapAdvice, IsGivenWhereReadAheadIsOn) {
  FakeSystem kernel;
  EXPECT_EQ(swap_advice(kernel.system()), "");
  kernel.write("/proc/sys/vm/page-cluster", "0\n");
  EXPECT_EQ(swap_advice(kernel.system()), "");
  kernel.write("/proc/sys/vm/page-cluster", "3\n");
  const std::string advice = swap_advice(kernel.system());
  EXPECT_NE(advice.find("vm.page-cluster is 3"), std::string::npos);
  EXPECT_NE(advice.find("up to 7 neighbours"), std::string::npos);
  EXPECT_NE(advice.find("sysctl vm.page-cluster=0"), std::string::npos);
}

}  // namespace
}  // namespace pleat::tool
