// SPDX-License-Identifier: MIT OR Apache-2.0
// A GPU's memory as a file, on the CPU that stands in for a GPU: what is read is what was written
// there last, or zero, and a copy that fails harms no other.
#include "gpu/gpu_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <random>
#include <vector>

namespace pleat::gpu {
namespace {

using ::testing::HasSubstr;

// Not a multiple of what is copied at once.
constexpr std::uint64_t kBytes = GpuMemory::kTransferBytes * 3 + 4096;

class GpuMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override { setenv("PLEAT_GPU_LIBRARY", PLEAT_GPU_EMULATED, 1); }
  void TearDown() override {
    unsetenv("PLEAT_GPU_LIBRARY");
    unsetenv("PLEAT_EMULATED_GPU_FAILS");
  }
  static void fail(const char* call) { setenv("PLEAT_EMULATED_GPU_FAILS", call, 1); }
};

TEST_F(GpuMemoryTest, IsZeroAtFirst) {
  auto memory = GpuMemory::allocate(1, kBytes);
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->bytes(), kBytes);
  EXPECT_STREQ(memory->info().name, "emulator");
  std::vector<std::byte> bytes(4096);
  for (std::uint64_t at = 0; at < kBytes; at += bytes.size()) {
    std::fill(bytes.begin(), bytes.end(), std::byte{1});
    ASSERT_EQ(memory->read(at, bytes.data(), bytes.size()), 0);
    ASSERT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](std::byte b) {
      return b == std::byte{};
    })) << at;
  }
}

TEST_F(GpuMemoryTest, HoldsWhatWasWrittenLast) {
  auto memory = GpuMemory::allocate(0, kBytes);
  ASSERT_TRUE(memory) << memory.error().message;
  std::vector<std::byte> model(kBytes);
  std::vector<std::byte> bytes(GpuMemory::kTransferBytes);
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::size_t size = random() % 8 == 0 ? bytes.size() : random() % 5000;
    const std::uint64_t at = random() % (kBytes - size + 1);
    if (random() % 2 == 0) {
      for (std::size_t i = 0; i < size; ++i) model[at + i] = static_cast<std::byte>(random());
      ASSERT_EQ(memory->write(at, model.data() + at, size), 0);
    } else {
      ASSERT_EQ(memory->read(at, bytes.data(), size), 0);
      ASSERT_TRUE(std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size),
                             model.begin() + static_cast<std::ptrdiff_t>(at)))
          << at;
    }
  }
}

TEST_F(GpuMemoryTest, ACopyThatFailsHarmsNoOther) {
  auto memory = GpuMemory::allocate(0, kBytes);
  ASSERT_TRUE(memory) << memory.error().message;
  const std::vector<std::byte> written(4096, std::byte{7});
  std::vector<std::byte> read(4096);
  ASSERT_EQ(memory->write(8192, written.data(), written.size()), 0);
  for (const char* call : {"copy:700", "wait:700"}) {
    fail(call);
    EXPECT_EQ(memory->read(8192, read.data(), read.size()), EIO) << call;
    EXPECT_EQ(memory->write(0, written.data(), written.size()), EIO) << call;
    unsetenv("PLEAT_EMULATED_GPU_FAILS");
    std::fill(read.begin(), read.end(), std::byte{});
    ASSERT_EQ(memory->read(8192, read.data(), read.size()), 0);
    EXPECT_EQ(read, written);
  }
}

TEST_F(GpuMemoryTest, SaysWhyThereIsNone) {
  const auto reason = [](std::uint32_t device, std::uint64_t bytes) {
    auto memory = GpuMemory::allocate(device, bytes);
    EXPECT_FALSE(memory);
    return memory ? std::string() : memory.error().message;
  };
  EXPECT_THAT(reason(0, std::uint64_t{2} << 30),
              HasSubstr("GPU 0 has not 2G of its 1G free: out of memory; choose a smaller size"));
  EXPECT_THAT(reason(0, ~std::uint64_t{0}), HasSubstr("choose a smaller size"));
  EXPECT_THAT(reason(9, kBytes), HasSubstr("there is no GPU 9"));
  fail("allocate:2");
  EXPECT_THAT(reason(1, kBytes), HasSubstr("GPU 1 has no memory free"));
  fail("count:35");
  EXPECT_THAT(reason(0, kBytes), HasSubstr("NVIDIA's driver is missing"));
  fail("copy:700");
  EXPECT_THAT(reason(0, kBytes), HasSubstr("cannot clear the GPU's memory: an illegal memory"));
}

}  // namespace
}  // namespace pleat::gpu
