// SPDX-License-Identifier: MIT OR Apache-2.0
// main() of the tests that mount a FUSE file system. Without root and FUSE they are skipped as a
// whole.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "device/loop/fuse_mount.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  constexpr int kSkippedStatus = 77;
  if (geteuid() != 0) {
    std::puts("skipped: mounting a file system needs root");
    return kSkippedStatus;
  }
  if (const auto there = pleat::device::probe_fuse(); !there) {
    std::printf("skipped: %s\n", there.error().message.c_str());
    return kSkippedStatus;
  }
  setenv("PLEAT_GPU_LIBRARY", PLEAT_GPU_EMULATED, 1);
  return RUN_ALL_TESTS();
}
