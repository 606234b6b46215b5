// SPDX-License-Identifier: MIT OR Apache-2.0
// main() of the tests that need the driver. On a machine without it they are skipped as a whole.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>

#include "device/ublk_fixture.h"

int main(int argc, char** argv) {
  // What a test runs as a child of fewer privileges: 0 if a device starts, 1 if it does not and the
  // error is one line, else 2.
  if (argc == 2 && std::strcmp(argv[1], "--try-start") == 0) {
    auto store = pleat::device::make_store();
    const auto result = pleat::device::start_ublk(*store, {});
    if (result) return 0;
    std::puts(result.error().message.c_str());
    return result.error().message.find('\n') == std::string::npos ? 1 : 2;
  }
  if (const auto driver = pleat::device::probe_ublk(); !driver) {
    std::printf("skipped: %s\n", driver.error().message.c_str());
    return 77;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
