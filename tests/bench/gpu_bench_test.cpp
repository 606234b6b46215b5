// SPDX-License-Identifier: MIT OR Apache-2.0
// pleat bench gpu and pleat gpu info, with a CPU in the GPU's place: what they measure with, what
// they compare, and what they say of it.
#include "tool/gpu_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <regex>
#include <string>

namespace pleat::tool {
namespace {

using testing::HasSubstr;

class GpuBench : public testing::Test {
 protected:
  GpuBench() {
    setenv("PLEAT_GPU_LIBRARY", PLEAT_GPU_EMULATED, 1);
    options_.batches = {8, 24};
    options_.repeats = 1;
    options_.threads = 2;
  }
  ~GpuBench() override {
    unsetenv("PLEAT_GPU_LIBRARY");
    unsetenv("PLEAT_EMULATED_GPU_FAILS");
  }

  static const codec::Kernels& kernels() { return *codec::available_kernels().back(); }

  GpuBenchOptions options_;
};

TEST_F(GpuBench, MeasuresEachCodecWithEachBatchAndLeavesSameFilledPagesOut) {
  options_.codecs = {"line", "lz4", "lz4,decoder=plain"};
  const auto report = run_gpu_bench(synthetic_page_sets(4, 1), kernels(), options_);
  ASSERT_TRUE(report) << report.error().message;
  // Sets of zeros, text, words, half and random.
  EXPECT_EQ(report->same_filled, 4u);
  EXPECT_EQ(report->distinct_pages, 16u);
  EXPECT_EQ(report->pages_hash.size(), 16u);
  ASSERT_EQ(report->rows.size(), 6u);
  for (const GpuBenchRow& row : report->rows) {
    EXPECT_EQ(row.gpu.same, 0u);
    EXPECT_GT(row.gpu.raw, 0u) << "random pages do not fit";
    EXPECT_LT(row.gpu.raw, row.pages);
    EXPECT_GT(row.gpu.ratio, 1);
    // The CPU's blocks are about as long.
    EXPECT_NEAR(row.gpu.ratio / row.cores.ratio, 1, 0.2) << row.codec;
    for (const double rate :
         {row.gpu.compress, row.gpu.decompress, row.gpu.compress_host, row.gpu.decompress_host,
          row.gpu.compress_from_device, row.gpu.decompress_to_device, row.cores.compress,
          row.cores.decompress}) {
      EXPECT_GT(rate, 0);
    }
  }
  const std::string text = to_text(*report);
  EXPECT_THAT(text, HasSubstr("a CPU stands in for it: its times mean nothing"));
  EXPECT_THAT(text, HasSubstr(report->pages_hash));
  EXPECT_THAT(text, HasSubstr("lz4,decoder=plain"));
}

TEST_F(GpuBench, TheReportSetsSavedPagesBesideCopiedOnes) {
  GpuBenchReport report;
  report.rows.push_back({.codec = "line",
                         .pages = 77,
                         .gpu = {.size = sizeof(pleat_gpu_rates),
                                 .to_device = 50,
                                 .from_device = 40,
                                 .compress = 1,
                                 .decompress = 1,
                                 .compress_host = 1,
                                 .decompress_host = 1,
                                 .latency_us = 1,
                                 .ratio = 1,
                                 .raw = 0,
                                 .same = 0,
                                 .compress_from_device = 90,
                                 .decompress_to_device = 25},
                         .cores = {.compress = 1, .decompress = 1, .ratio = 1}});
  const std::string text = std::regex_replace(to_text(report), std::regex(" +"), " ");
  EXPECT_THAT(text, HasSubstr("| line | 77 | 90 | 40 | 2.25 | 25 | 50 | 0.50 |"));
}

TEST_F(GpuBench, TheSeedDecidesTheBatches) {
  options_.codecs = {"line"};
  options_.batches = {5};
  const auto ratio = [&](std::uint64_t seed) {
    options_.seed = seed;
    const auto report = run_gpu_bench(synthetic_page_sets(4, 1), kernels(), options_);
    return report ? report->rows.at(0).gpu.ratio : 0;
  };
  EXPECT_EQ(ratio(1), ratio(1));
  EXPECT_NE(ratio(1), ratio(2));
}

TEST_F(GpuBench, WithoutPagesForAGpuThereIsNothingToMeasure) {
  std::vector<PageSet> sets = synthetic_page_sets(4, 1);
  sets.resize(1);  // zeros
  const auto report = run_gpu_bench(sets, kernels(), options_);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, EINVAL);
}

TEST_F(GpuBench, AGpuThatFailsIsTold) {
  setenv("PLEAT_EMULATED_GPU_FAILS", "decompress:700", 1);
  const auto report = run_gpu_bench(synthetic_page_sets(4, 1), kernels(), options_);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, EIO);
  EXPECT_THAT(report.error().message, HasSubstr("illegal memory access"));
}

TEST_F(GpuBench, InfoShowsWhereBatchesGo) {
  const auto text = describe_gpu(kernels(), {.device = 0, .codec = "lz4", .threads = 3});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_THAT(*text, HasSubstr("GPU 0: emulator"));
  EXPECT_THAT(*text, HasSubstr("its times mean nothing"));
  EXPECT_THAT(*text, HasSubstr("pages in VRAM: saved as blocks "));
  // No emulator is faster than three cores.
  EXPECT_THAT(*text, HasSubstr("never"));
  EXPECT_THAT(*text, HasSubstr("for 3 free cores"));
}

TEST_F(GpuBench, InfoSaysWhichGpuThereIsNot) {
  const auto text = describe_gpu(kernels(), {.device = 7, .codec = "line", .threads = 1});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ENODEV);
  EXPECT_THAT(text.error().message, HasSubstr("no GPU 7"));
}

}  // namespace
}  // namespace pleat::tool
