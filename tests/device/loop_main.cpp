// SPDX-License-Identifier: MIT OR Apache-2.0
// main() of the tests that need loop devices, FUSE and root. Without them they are skipped as a
// whole.
#include <gtest/gtest.h>

#include <cstdio>

#include "device/transport.h"

int main(int argc, char** argv) {
  if (const auto probed = pleat::device::probe_loop(); !probed) {
    std::printf("skipped: %s\n", probed.error().message.c_str());
    return 77;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
