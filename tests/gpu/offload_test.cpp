// SPDX-License-Identifier: MIT OR Apache-2.0
// The offload rule: what limits a GPU by where the pages are, and from which batch on it pays. And
// what is said where there is no library for one.
#include "gpu/offload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "gpu/gpu_library.h"

namespace pleat::gpu {
namespace {

using ::testing::HasSubstr;

// An H200 on PCIe 5 beside cores as they are: kernels far over the link.
constexpr OffloadRates kRates = {.to_device = 55,
                                 .from_device = 50,
                                 .compress = 200,
                                 .decompress = 1000,
                                 .core_compress = 2.5,
                                 .core_decompress = 8,
                                 .latency_us = 100};

OffloadDecision decide(Work work, Pages pages, unsigned cores, std::uint64_t batch = 1 << 20,
                       double ratio = 2.5, const OffloadRates& rates = kRates) {
  return decide_offload(rates, work, pages, ratio, cores, batch);
}

TEST(Offload, PagesOfTheHostAreBoundByTheLink) {
  const OffloadDecision compress = decide(Work::kCompress, Pages::kInHostMemory, 4);
  EXPECT_TRUE(compress.gpu);
  EXPECT_DOUBLE_EQ(compress.gpu_rate, 55);
  EXPECT_EQ(compress.bound, Bound::kToDevice);
  EXPECT_DOUBLE_EQ(compress.cores_rate, 10);
  // Blocks there are shorter than pages, pages back are not.
  const OffloadDecision decompress = decide(Work::kDecompress, Pages::kInHostMemory, 4);
  EXPECT_DOUBLE_EQ(decompress.gpu_rate, 50);
  EXPECT_EQ(decompress.bound, Bound::kFromDevice);
  EXPECT_FALSE(decide(Work::kDecompress, Pages::kInHostMemory, 7).gpu) << "7 cores do 56 GB/s";
}

TEST(Offload, PagesOfTheDeviceCrossTheLinkAsBlocks) {
  const OffloadDecision compress = decide(Work::kCompress, Pages::kInDeviceMemory, 4);
  EXPECT_DOUBLE_EQ(compress.gpu_rate, 125);
  EXPECT_EQ(compress.bound, Bound::kFromDevice);
  const OffloadDecision decompress = decide(Work::kDecompress, Pages::kInDeviceMemory, 4);
  EXPECT_DOUBLE_EQ(decompress.gpu_rate, 137.5);
  EXPECT_EQ(decompress.bound, Bound::kToDevice);
  // The cores would get them by the link, as they are: more of them do not help.
  EXPECT_DOUBLE_EQ(decide(Work::kCompress, Pages::kInDeviceMemory, 1000).cores_rate, 50);
  EXPECT_TRUE(decide(Work::kCompress, Pages::kInDeviceMemory, 1000).gpu);
}

TEST(Offload, ASlowKernelIsTheLimit) {
  OffloadRates rates = kRates;
  rates.compress = 30;
  const OffloadDecision decision =
      decide(Work::kCompress, Pages::kInHostMemory, 4, 1 << 20, 2.5, rates);
  EXPECT_EQ(decision.bound, Bound::kKernel);
  EXPECT_DOUBLE_EQ(decision.gpu_rate, 30);
  EXPECT_FALSE(decide(Work::kCompress, Pages::kInHostMemory, 12, 1 << 20, 2.5, rates).gpu);
}

TEST(Offload, WhatACallReachedIsTheLimitForThePagesThatItIsFor) {
  OffloadRates rates = kRates;
  rates.compress_host = 32;
  const OffloadDecision decision =
      decide(Work::kCompress, Pages::kInHostMemory, 4, 1 << 20, 2.5, rates);
  EXPECT_EQ(decision.bound, Bound::kCall);
  EXPECT_DOUBLE_EQ(decision.gpu_rate, 32);
  EXPECT_DOUBLE_EQ(decide(Work::kCompress, Pages::kInDeviceMemory, 4, 1 << 20, 2.5, rates).gpu_rate,
                   125);
  rates = kRates;
  rates.compress_from_device = 110;
  rates.decompress_to_device = 120;
  for (const auto& [work, rate] : {std::pair(Work::kCompress, 110), {Work::kDecompress, 120}}) {
    const OffloadDecision there = decide(work, Pages::kInDeviceMemory, 4, 1 << 20, 2.5, rates);
    EXPECT_EQ(there.bound, Bound::kCall);
    EXPECT_DOUBLE_EQ(there.gpu_rate, rate);
    EXPECT_NE(decide(work, Pages::kInHostMemory, 4, 1 << 20, 2.5, rates).bound, Bound::kCall);
  }
}

TEST(Offload, RatesThatAreNearlyEqualAskForBatchesThatNobodyHas) {
  OffloadRates rates = kRates;
  rates.core_compress = 55 / (4 * (1 + 1e-15));
  rates.latency_us = 1e9;
  EXPECT_FALSE(decide(Work::kCompress, Pages::kInHostMemory, 4, 1 << 20, 2.5, rates).gpu);
}

TEST(Offload, ABatchHasToOutlastTheLatency) {
  // 100 us + n / 55 <= n / 10: 1.222 MB, 298.4 pages.
  const OffloadDecision at = decide(Work::kCompress, Pages::kInHostMemory, 4, 299);
  EXPECT_EQ(at.pages_min, 299u);
  EXPECT_TRUE(at.gpu);
  EXPECT_THAT(at.reason, HasSubstr("GPU: 299 pages of at least 299"));
  const OffloadDecision below = decide(Work::kCompress, Pages::kInHostMemory, 4, 298);
  EXPECT_FALSE(below.gpu);
  EXPECT_THAT(below.reason, HasSubstr("cores: 298 pages of at least 299"));
  EXPECT_EQ(decide(Work::kDecompress, Pages::kInHostMemory, 7).pages_min, 0u) << "never";
}

TEST(Offload, WithoutFreeCoresTheGpuTakesAnything) {
  const OffloadDecision decision = decide(Work::kCompress, Pages::kInHostMemory, 0, 1);
  EXPECT_TRUE(decision.gpu);
  EXPECT_EQ(decision.pages_min, 1u);
}

class Library : public ::testing::Test {
 protected:
  void use(const char* path) { setenv("PLEAT_GPU_LIBRARY", path, 1); }
  void TearDown() override { unsetenv("PLEAT_GPU_LIBRARY"); }
  static constexpr pleat_gpu_options kOptions = {
      .size = sizeof(pleat_gpu_options), .codec = "line", .device = 0, .pages = 4, .capacity = 0};
};

TEST_F(Library, IsOpenedWhereItIs) {
  use(PLEAT_GPU_EMULATED);
  const auto gpu = Gpu::open(kOptions);
  ASSERT_TRUE(gpu) << gpu.error().message;
  EXPECT_STREQ(gpu->info().name, "emulator");
}

TEST_F(Library, ItsAbsenceIsOneLine) {
  use("/nonexistent/libpleat-gpu.so");
  const auto gpu = Gpu::open(kOptions);
  ASSERT_FALSE(gpu);
  EXPECT_EQ(gpu.error().code, ENOENT);
  EXPECT_THAT(gpu.error().message, HasSubstr("no GPU is used: /nonexistent/libpleat-gpu.so"));
  EXPECT_EQ(gpu.error().message.find('\n'), std::string::npos);
}

TEST_F(Library, AnotherLibraryIsNotTaken) {
  use("libc.so.6");
  const auto gpu = Gpu::open(kOptions);
  ASSERT_FALSE(gpu);
  EXPECT_EQ(gpu.error().code, ENOTSUP);
  EXPECT_THAT(gpu.error().message, HasSubstr("lacks pleat_gpu_"));
}

TEST_F(Library, AMachineWithoutDriverIsOneLine) {
  use(PLEAT_GPU_EMULATED);
  setenv("PLEAT_EMULATED_GPU_FAILS", "count:35", 1);
  const auto gpu = Gpu::open(kOptions);
  unsetenv("PLEAT_EMULATED_GPU_FAILS");
  ASSERT_FALSE(gpu);
  EXPECT_EQ(gpu.error().code, ENODEV);
  EXPECT_THAT(gpu.error().message, HasSubstr("no GPU is used: NVIDIA's driver is missing"));
}

}  // namespace
}  // namespace pleat::gpu
