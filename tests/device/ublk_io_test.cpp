// SPDX-License-Identifier: MIT OR Apache-2.0
// Requests through the real driver: every byte that comes back is compared with a model.
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <atomic>
#include <random>
#include <thread>

#include "device/ublk_fixture.h"

namespace pleat::device {
namespace {

TransportOptions options_with(bool user_copy, unsigned block_bytes) {
  TransportOptions options;
  options.user_copy = user_copy;
  options.block_bytes = block_bytes;
  return options;
}

bool has_feature(const TransportInfo& info, const std::string& name) {
  return std::find(info.features.begin(), info.features.end(), name) != info.features.end();
}

class UblkIo : public ::testing::TestWithParam<bool> {};  // whether USER_COPY is asked for
INSTANTIATE_TEST_SUITE_P(Modes, UblkIo, ::testing::Bool(), [](const auto& mode) {
  return std::string(mode.param ? "UserCopy" : "PlainCopy");
});

TEST_P(UblkIo, ModeIsWhatWasAskedFor) {
  Device device(options_with(GetParam(), 4096));
  EXPECT_EQ(has_feature(device.transport->info(), "USER_COPY"), GetParam());
}

// Every start in a page and every length up to two pages and a sector.
TEST_P(UblkIo, EverySectorAlignmentKeepsEveryByte) {
  Device device(options_with(GetParam(), 512));
  const UniqueFd fd = open_direct(device.path());
  constexpr std::size_t kArea = 4 * kPageSize;
  std::vector<unsigned char> model(kArea, 0);
  Buffer buffer(kArea);
  for (std::size_t first = 0; first < 8; ++first) {
    for (std::size_t sectors = 1; sectors <= 17; ++sectors) {
      const std::size_t offset = first * kSectorSize;
      const std::size_t length = sectors * kSectorSize;
      fill(buffer.data(), length, static_cast<std::uint32_t>(first * 100 + sectors));
      std::memcpy(model.data() + offset, buffer.data(), length);
      ASSERT_EQ(pwrite(fd.get(), buffer.data(), length, static_cast<off_t>(offset)),
                static_cast<ssize_t>(length));
      ASSERT_EQ(pread(fd.get(), buffer.data(), kArea, 0), static_cast<ssize_t>(kArea));
      ASSERT_EQ(std::memcmp(buffer.data(), model.data(), kArea), 0)
          << "after a write of " << sectors << " sectors at sector " << first;
      // A read of just that range, which covers pages in part.
      ASSERT_EQ(pread(fd.get(), buffer.data(), length, static_cast<off_t>(offset)),
                static_cast<ssize_t>(length));
      ASSERT_EQ(std::memcmp(buffer.data(), model.data() + offset, length), 0);
    }
  }
}

// Large requests are split by the block layer, and by us with USER_COPY, at any alignment.
TEST_P(UblkIo, LargeRequestsAtOddOffsetsKeepEveryByte) {
  Device device(options_with(GetParam(), 512));
  const UniqueFd fd = open_direct(device.path());
  constexpr std::size_t kLength = (3u << 20) + 7 * kSectorSize;
  Buffer written(kLength), read(kLength);
  for (const off_t offset : {off_t{0}, off_t{512}, off_t{65536 - 512}, off_t{4096 * 3 + 1024}}) {
    fill(written.data(), kLength, static_cast<std::uint32_t>(offset));
    ASSERT_EQ(pwrite(fd.get(), written.data(), kLength, offset), static_cast<ssize_t>(kLength));
    ASSERT_EQ(pread(fd.get(), read.data(), kLength, offset), static_cast<ssize_t>(kLength));
    ASSERT_EQ(std::memcmp(written.data(), read.data(), kLength), 0) << "at " << offset;
  }
}

// One thread of random writes, reads, discards and write-zeroes on a part of the device of its own.
void run_model(const std::string& path, std::uint64_t base, std::uint32_t seed, int steps,
               std::atomic<int>& wrong) {
  constexpr std::size_t kArea = 1u << 20;
  const UniqueFd fd = open_direct(path);
  std::vector<unsigned char> model(kArea, 0);
  Buffer buffer(kArea);
  std::mt19937 random(seed);
  for (int step = 0; step < steps; ++step) {
    const std::size_t offset = random() % (kArea / kSectorSize) * kSectorSize;
    const std::size_t most = std::min<std::size_t>(kArea - offset, 160 * kSectorSize);
    const std::size_t length = (1 + random() % (most / kSectorSize)) * kSectorSize;
    const auto position = static_cast<off_t>(base + offset);
    bool good = true;
    switch (random() % 4) {
      case 0:
        fill(buffer.data(), length, static_cast<std::uint32_t>(random()));
        std::memcpy(model.data() + offset, buffer.data(), length);
        good = pwrite(fd.get(), buffer.data(), length, position) == static_cast<ssize_t>(length);
        break;
      case 1: {
        // Of a discard only whole pages are defined.
        const std::size_t first = (offset + kPageSize - 1) / kPageSize * kPageSize;
        const std::size_t end = (offset + length) / kPageSize * kPageSize;
        if (first >= end) break;
        std::uint64_t range[2] = {base + first, end - first};
        std::fill(model.begin() + static_cast<long>(first), model.begin() + static_cast<long>(end),
                  0);
        good = ioctl(fd.get(), BLKDISCARD, range) == 0;
        break;
      }
      case 2: {
        std::uint64_t range[2] = {base + offset, length};
        std::fill_n(model.begin() + static_cast<long>(offset), length, 0);
        good = ioctl(fd.get(), BLKZEROOUT, range) == 0;
        break;
      }
      default:
        good = pread(fd.get(), buffer.data(), length, position) == static_cast<ssize_t>(length) &&
               std::memcmp(buffer.data(), model.data() + offset, length) == 0;
    }
    if (!good) ++wrong;
  }
  if (pread(fd.get(), buffer.data(), kArea, static_cast<off_t>(base)) !=
          static_cast<ssize_t>(kArea) ||
      std::memcmp(buffer.data(), model.data(), kArea) != 0) {
    ++wrong;
  }
}

TEST_P(UblkIo, RandomOperationsFromSeveralThreadsFollowTheModel) {
  TransportOptions options = options_with(GetParam(), 512);
  options.queues = 2;
  options.depth = 8;
  Device device(options);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned index = 0; index < 4; ++index) {
    threads.emplace_back(
        [&, index] { run_model(device.path(), index * (3u << 20), index + 1, 300, wrong); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST_P(UblkIo, StatisticsCountBytesAndRequests) {
  Device device(options_with(GetParam(), 4096));
  const UniqueFd fd = open_direct(device.path());
  Buffer buffer(4 * kPageSize);
  fill(buffer.data(), buffer.size(), 5);
  const auto* stats = device.transport->queue_stats().at(0);
  const std::uint64_t reads_before = stats->read_ticks.count();
  const std::uint64_t read_bytes_before = stats->read_bytes;
  ASSERT_EQ(pwrite(fd.get(), buffer.data(), buffer.size(), 0), static_cast<ssize_t>(buffer.size()));
  ASSERT_EQ(pread(fd.get(), buffer.data(), kPageSize, 0), static_cast<ssize_t>(kPageSize));
  EXPECT_EQ(stats->write_bytes, buffer.size());
  EXPECT_EQ(stats->write_ticks.count(), 1u);
  EXPECT_EQ(stats->read_bytes - read_bytes_before, kPageSize);
  EXPECT_EQ(stats->read_ticks.count() - reads_before, 1u);
  EXPECT_GT(stats->busy_ticks, 0u);
  EXPECT_EQ(stats->invalid_requests, 0u);
}

class UblkDevice : public ::testing::Test {};

TEST_F(UblkDevice, DiscardAndWriteZeroesFreePages) {
  Device device;
  const UniqueFd fd = open_direct(device.path());
  constexpr std::size_t kLength = 1u << 20;
  Buffer buffer(kLength);
  fill(buffer.data(), kLength, 1);
  ASSERT_EQ(pwrite(fd.get(), buffer.data(), kLength, 0), static_cast<ssize_t>(kLength));
  EXPECT_EQ(device.store->stats().orig_data_size, kLength);
  std::uint64_t discarded[2] = {0, kLength / 2};
  ASSERT_EQ(ioctl(fd.get(), BLKDISCARD, discarded), 0);
  EXPECT_EQ(device.store->stats().orig_data_size, kLength / 2);
  std::uint64_t zeroed[2] = {kLength / 2, kLength / 2};
  ASSERT_EQ(ioctl(fd.get(), BLKZEROOUT, zeroed), 0);
  EXPECT_EQ(device.store->stats().orig_data_size, 0u);
  ASSERT_EQ(pread(fd.get(), buffer.data(), kLength, 0), static_cast<ssize_t>(kLength));
  EXPECT_EQ(std::count(buffer.data(), buffer.data() + kLength, 0),
            static_cast<std::ptrdiff_t>(kLength));
}

TEST_F(UblkDevice, FallocateDiscardsAndZeroes) {
  Device device;
  const UniqueFd fd = open_direct(device.path());
  Buffer buffer(8 * kPageSize);
  fill(buffer.data(), buffer.size(), 2);
  ASSERT_EQ(pwrite(fd.get(), buffer.data(), buffer.size(), 0), static_cast<ssize_t>(buffer.size()));
  ASSERT_EQ(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * kPageSize), 0)
      << std::strerror(errno);
  ASSERT_EQ(
      fallocate(fd.get(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 2 * kPageSize, 2 * kPageSize),
      0)
      << std::strerror(errno);
  EXPECT_EQ(device.store->stats().orig_data_size, 4 * kPageSize);
}

TEST_F(UblkDevice, DiscardOfTheWholeDeviceWorks) {
  Device device;
  const UniqueFd fd = open_direct(device.path());
  Buffer buffer(kPageSize);
  fill(buffer.data(), buffer.size(), 3);
  ASSERT_EQ(pwrite(fd.get(), buffer.data(), buffer.size(), kDeviceBytes - kPageSize),
            static_cast<ssize_t>(buffer.size()));
  std::uint64_t range[2] = {0, kDeviceBytes};
  ASSERT_EQ(ioctl(fd.get(), BLKDISCARD, range), 0);
  EXPECT_EQ(device.store->stats().orig_data_size, 0u);
}

TEST_F(UblkDevice, FlushSucceedsAndBufferedWritesReachTheStore) {
  Device device;
  const UniqueFd fd(open(device.path().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(fd);
  std::vector<unsigned char> bytes(8 * kPageSize);
  fill(bytes.data(), bytes.size(), 4);
  ASSERT_EQ(pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(fsync(fd.get()), 0);
  EXPECT_EQ(fdatasync(fd.get()), 0);
  EXPECT_EQ(device.store->stats().orig_data_size, bytes.size());
}

TEST_F(UblkDevice, EndOfTheDeviceIsItsSize) {
  Device device(options_with(true, 512));
  const UniqueFd fd = open_direct(device.path());
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_END), static_cast<off_t>(kDeviceBytes));
  Buffer buffer(2 * kPageSize);
  EXPECT_EQ(pread(fd.get(), buffer.data(), buffer.size(), kDeviceBytes - kSectorSize),
            static_cast<ssize_t>(kSectorSize));
}

TEST_F(UblkDevice, BlockLayerSeesTheParameters) {
  for (const unsigned block_bytes : {512u, 4096u}) {
    TransportOptions options = options_with(true, block_bytes);
    options.depth = 33;
    Device device(options);
    const std::string queue = "block/ublkb" + std::to_string(device.id()) + "/queue/";
    EXPECT_EQ(sysfs(queue + "logical_block_size"), std::to_string(block_bytes));
    EXPECT_EQ(sysfs(queue + "physical_block_size"), "4096");
    EXPECT_EQ(sysfs(queue + "minimum_io_size"), "4096");
    EXPECT_EQ(sysfs(queue + "optimal_io_size"), "4096");
    EXPECT_EQ(sysfs(queue + "discard_granularity"), "4096");
    EXPECT_EQ(sysfs(queue + "rotational"), "0");
    EXPECT_EQ(sysfs(queue + "write_cache"), "write through");
    EXPECT_GE(std::stoull(sysfs(queue + "discard_max_bytes")), std::uint64_t{64} << 20);
    EXPECT_GE(std::stoull(sysfs(queue + "write_zeroes_max_bytes")), std::uint64_t{64} << 20);
    // A tag more than these exists, and is never used.
    EXPECT_EQ(sysfs(queue + "nr_requests"), "33");
    EXPECT_EQ(sysfs(queue + "io_timeout"), "1000");
  }
}

TEST_F(UblkDevice, PlainCopyBuffersAreBoundedAtAnyDepth) {
  for (const unsigned depth : {1u, 64u, 1024u}) {
    TransportOptions options = options_with(false, 4096);
    options.depth = depth;
    Device device(options);
    const std::string queue = "block/ublkb" + std::to_string(device.id()) + "/queue/";
    const std::uint64_t request_bytes = std::stoull(sysfs(queue + "max_hw_sectors_kb")) << 10;
    EXPECT_GE(request_bytes, kPageSize);
    // At 1024 requests a page each is the least that there can be.
    EXPECT_LE(request_bytes * depth, 4u << 20) << "depth " << depth;
  }
}

}  // namespace
}  // namespace pleat::device
