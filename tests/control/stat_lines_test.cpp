// SPDX-License-Identifier: MIT OR Apache-2.0
#include <gtest/gtest.h>

#include "control/sample_status.h"
#include "control/status.h"

namespace pleat::control {
namespace {

TEST(StatLines, OfAnEmptyDeviceAreTheKernelsOwn) {
  const DeviceStatus empty;
  EXPECT_EQ(mm_stat_line(empty),
            "       0        0        0        0        0        0        0        0        0\n");
  EXPECT_EQ(io_stat_line(empty), "       0        0        0        0\n");
  EXPECT_EQ(bd_stat_line(empty), "       0        0        0\n");
}

TEST(StatLines, HaveZramsOrder) {
  const DeviceStatus status = sample_status();
  EXPECT_EQ(mm_stat_line(status),
            "40960000 12000001 13107200 1073741824 14000128     1500        6       77       88\n");
  EXPECT_EQ(io_stat_line(status), "       9       10       11    12345\n");
  EXPECT_EQ(bd_stat_line(status), "      13       14       15\n");
}

TEST(StatLines, HoldTheLargestNumbers) {
  DeviceStatus status;
  status.bd_count = ~std::uint64_t{0};
  EXPECT_EQ(bd_stat_line(status), "18446744073709551615        0        0\n");
}

}  // namespace
}  // namespace pleat::control
