// SPDX-License-Identifier: MIT OR Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "device/transport.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  constexpr int kSkippedStatus = 77;
  if (geteuid() != 0) {
    std::puts("skipped: making a block device needs root");
    return kSkippedStatus;
  }
  if (const auto there = pleat::device::probe_loop(); !there) {
    std::printf("skipped: %s\n", there.error().message.c_str());
    return kSkippedStatus;
  }
  return RUN_ALL_TESTS();
}
