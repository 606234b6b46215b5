// SPDX-License-Identifier: MIT OR Apache-2.0
// Requests through a real loop device and a real FUSE connection.
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/mount.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <random>

#include "device/loop_fixture.h"
#include "store/backing_file.h"

namespace pleat::device {
namespace {

class LoopBlockSize : public testing::TestWithParam<unsigned> {};

TEST_P(LoopBlockSize, IsTheOneAskedForAndSoIsTheDeviceSize) {
  TransportOptions options = loop_options();
  options.block_bytes = GetParam();
  const Device device(options);
  const UniqueFd fd = open_direct(device.path());
  int block_bytes = 0;
  std::uint64_t device_bytes = 0;
  ASSERT_EQ(ioctl(fd.get(), BLKSSZGET, &block_bytes), 0);
  ASSERT_EQ(ioctl(fd.get(), BLKGETSIZE64, &device_bytes), 0);
  EXPECT_EQ(static_cast<unsigned>(block_bytes), GetParam());
  EXPECT_EQ(device_bytes, kDeviceBytes);
}

TEST_P(LoopBlockSize, RangesOfAnyAlignmentComeBackAsWritten) {
  TransportOptions options = loop_options();
  options.block_bytes = GetParam();
  options.queues = 2;
  const Device device(options);
  const UniqueFd fd = open_direct(device.path());
  std::vector<std::byte> model(kDeviceBytes);
  // Larger than FuseFile::kTransferBytes and than the block layer's 1280 KiB, so that some ranges
  // are split.
  constexpr std::size_t kLengthMax = 3u << 20;
  const AlignedBytes data(kLengthMax + kPageSize);
  std::mt19937_64 random(GetParam());
  for (int i = 0; i < 600; ++i) {
    const std::size_t blocks_max =
        random() % 20 == 0 ? kLengthMax / GetParam() : 20 * kPageSize / GetParam();
    const std::size_t length = (random() % blocks_max + 1) * GetParam();
    const std::size_t offset = random() % ((kDeviceBytes - length) / GetParam() + 1) * GetParam();
    // Memory may lie anywhere on the sector grid too.
    std::byte* const bytes = data.data() + random() % 8 * kSectorSize;
    const auto begin = model.begin() + static_cast<std::ptrdiff_t>(offset);
    if (random() % 2 == 0) {
      const std::uint64_t mask = random() % 2 == 0 ? 255 : 3;
      for (std::size_t j = 0; j < length; ++j) bytes[j] = static_cast<std::byte>(random() & mask);
      ASSERT_EQ(pwrite(fd.get(), bytes, length, static_cast<off_t>(offset)),
                static_cast<ssize_t>(length))
          << std::strerror(errno)
          << ", writes without memory ready: " << device.store->stats().no_reserve_writes;
      std::copy_n(bytes, length, begin);
    } else {
      ASSERT_EQ(pread(fd.get(), bytes, length, static_cast<off_t>(offset)),
                static_cast<ssize_t>(length));
      ASSERT_TRUE(std::equal(bytes, bytes + length, begin)) << offset << '+' << length;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, LoopBlockSize, testing::Values(512u, 4096u));

TEST(LoopIo, PagesThatAreWrittenBackAreRead) {
  constexpr std::uint64_t kPages = 64;
  const store::BackingFile file(2 * kPages);
  store::StoreOptions store_options;
  store_options.device_bytes = kDeviceBytes;
  store_options.kernels = codec::select_kernels().value();
  store_options.sessions_max = 4;
  store_options.backing = file.path();
  store_options.backing_bytes = 2 * kPages * kPageSize;
  auto store = store::Store::create(store_options);
  ASSERT_TRUE(store) << store.error().message;
  TransportOptions options = loop_options();
  options.queues = 2;
  const auto transport = start_loop(**store, options);
  ASSERT_TRUE(transport) << transport.error().message;
  const UniqueFd fd = open_direct((*transport)->info().path);
  const AlignedBytes written(kPages * kPageSize);
  const AlignedBytes read(kPages * kPageSize);
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < kPages * kPageSize; ++i) written[i] = std::byte(random());
  ASSERT_EQ(pwrite(fd.get(), written.data(), kPages * kPageSize, 0), ssize_t{kPages * kPageSize});
  const auto result = (*store)->write_back({});
  ASSERT_TRUE(result);
  ASSERT_EQ(result->pages_written, kPages);
  ASSERT_EQ(pread(fd.get(), read.data(), kPages * kPageSize, 0), ssize_t{kPages * kPageSize});
  EXPECT_EQ(std::memcmp(read.data(), written.data(), kPages * kPageSize), 0);
  EXPECT_EQ((*store)->stats().backing_failures, 0u);
}

TEST(LoopIo, TwoClientsOnTwoQueuesDoNotMeet) {
  TransportOptions options = loop_options();
  options.queues = 2;
  const Device device(options);
  std::atomic<int> wrong{0};
  const auto work = [&](std::uint64_t first_page, std::uint64_t seed) {
    const UniqueFd fd = open_direct(device.path());
    const AlignedBytes out(16 * kPageSize);
    const AlignedBytes in(16 * kPageSize);
    std::mt19937_64 random(seed);
    for (int round = 0; round < 400; ++round) {
      const std::size_t length = (random() % 16 + 1) * kPageSize;
      const auto offset = static_cast<off_t>((first_page + random() % 1024) * kPageSize);
      for (std::size_t i = 0; i < length; ++i) out[i] = static_cast<std::byte>(random() & 31);
      if (pwrite(fd.get(), out.data(), length, offset) != static_cast<ssize_t>(length) ||
          pread(fd.get(), in.data(), length, offset) != static_cast<ssize_t>(length) ||
          std::memcmp(out.data(), in.data(), length) != 0) {
        ++wrong;
      }
    }
  };
  std::thread other(work, 2048, 1);
  work(0, 2);
  other.join();
  EXPECT_EQ(wrong.load(), 0);
  // A request is counted right after its answer, which may be after the caller's return.
  constexpr std::uint64_t kRequests = 2 * 2 * 400;
  std::uint64_t requests = 0;
  for (int wait = 0; wait < 1000 && requests < kRequests; ++wait) {
    if (wait != 0) usleep(1000);
    requests = 0;
    for (const QueueStats* stats : device.transport->queue_stats()) {
      requests += stats->read_ticks.count() + stats->write_ticks.count();
      EXPECT_EQ(stats->invalid_requests.load(), 0u);
    }
  }
  EXPECT_GE(requests, kRequests);
}

TEST(LoopIo, DiscardAndZeroOutFreePages) {
  const Device device;
  const UniqueFd fd = open_direct(device.path());
  const AlignedBytes data(1u << 20);
  for (std::size_t i = 0; i < (1u << 20); ++i) data[i] = static_cast<std::byte>(i * 7 + i / 4096);
  for (const unsigned long request : {BLKDISCARD, BLKZEROOUT}) {
    ASSERT_EQ(pwrite(fd.get(), data.data(), 1u << 20, 0), 1 << 20);
    ASSERT_EQ(device.store->stats().orig_data_size, 1u << 20);
    std::uint64_t range[2] = {64 * kPageSize, 128 * kPageSize};
    ASSERT_EQ(ioctl(fd.get(), request, range), 0) << std::strerror(errno);
    EXPECT_EQ(device.store->stats().orig_data_size, 128 * kPageSize);
    const AlignedBytes back(1u << 20);
    ASSERT_EQ(pread(fd.get(), back.data(), 1u << 20, 0), 1 << 20);
    std::memset(data.data() + range[0], 0, range[1]);
    EXPECT_EQ(std::memcmp(back.data(), data.data(), 1u << 20), 0);
    for (std::size_t i = 0; i < (1u << 20); ++i) data[i] = static_cast<std::byte>(i * 5 + i / 4096);
  }
  EXPECT_EQ(device.store->stats().notify_free, 2 * 128u);
}

TEST(LoopIo, ZeroOutOfPartsOfPagesZeroesThem) {
  TransportOptions options = loop_options();
  options.block_bytes = 512;
  const Device device(options);
  const UniqueFd fd = open_direct(device.path());
  const AlignedBytes data(8 * kPageSize);
  std::memset(data.data(), 0x5a, 8 * kPageSize);
  ASSERT_EQ(pwrite(fd.get(), data.data(), 8 * kPageSize, 0), static_cast<ssize_t>(8 * kPageSize));
  std::uint64_t range[2] = {kPageSize + 512, 4 * kPageSize};
  ASSERT_EQ(ioctl(fd.get(), BLKZEROOUT, range), 0) << std::strerror(errno);
  std::memset(data.data() + range[0], 0, range[1]);
  const AlignedBytes back(8 * kPageSize);
  ASSERT_EQ(pread(fd.get(), back.data(), 8 * kPageSize, 0), static_cast<ssize_t>(8 * kPageSize));
  EXPECT_EQ(std::memcmp(back.data(), data.data(), 8 * kPageSize), 0);
}

TEST(LoopIo, AFullStoreFailsTheWriteAndTheDeviceGoesOn) {
  const Device device(loop_options(), 1u << 20);
  const UniqueFd fd = open_direct(device.path());
  const AlignedBytes page(kPageSize);
  std::mt19937_64 random(9);
  int error = 0;
  off_t offset = 0;
  while (error == 0 && offset < static_cast<off_t>(kDeviceBytes)) {
    for (std::size_t i = 0; i < kPageSize; ++i) page[i] = static_cast<std::byte>(random());
    if (pwrite(fd.get(), page.data(), kPageSize, offset) < 0) error = errno;
    offset += static_cast<off_t>(kPageSize);
  }
  EXPECT_EQ(error, ENOSPC) << "after " << offset;
  std::uint64_t range[2] = {0, kDeviceBytes};
  ASSERT_EQ(ioctl(fd.get(), BLKDISCARD, range), 0);
  EXPECT_EQ(pwrite(fd.get(), page.data(), kPageSize, 0), static_cast<ssize_t>(kPageSize));
}

TEST(LoopIo, ThePageCacheHoldsNoSecondCopy) {
  const Device device;
  std::ifstream file("/sys/block/loop" + std::to_string(device.transport->info().id) + "/loop/dio");
  int direct = 0;
  file >> direct;
  EXPECT_EQ(direct, 1);
}

// A serving thread that asks the kernel for memory may wait for its own device. So neither faults
// nor mappings may grow with the number of requests.
TEST(LoopIo, ServingNeedsNoMemoryOfTheKernel) {
  TransportOptions options = loop_options();
  options.queues = 2;
  const Device device(options);
  const UniqueFd fd = open_direct(device.path());
  constexpr std::size_t kBytes = 4u << 20;
  const AlignedBytes data(kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) data[i] = static_cast<std::byte>(i * 31 + i / 4096);
  const auto work = [&] {
    for (off_t offset = 0; offset < static_cast<off_t>(kBytes); offset += 64 << 10) {
      ASSERT_EQ(pwrite(fd.get(), data.data() + offset, 64 << 10, offset), 64 << 10);
      ASSERT_EQ(pread(fd.get(), data.data() + offset, 64 << 10, offset), 64 << 10);
    }
  };
  const auto mapped_pages = [] {
    std::ifstream file("/proc/self/statm");
    std::uint64_t pages = 0;
    file >> pages;
    return pages;
  };
  constexpr int kMinorFaults = 10;
  const auto faults = [&] {
    std::uint64_t sum = 0;
    for (const auto& thread : serving_threads()) sum += stat_field(thread / "stat", kMinorFaults);
    return sum;
  };
  ASSERT_EQ(serving_threads().size(), 2u);
  for (int i = 0; i < 4; ++i) work();
  ASSERT_TRUE(device.store->settle(5000));
  // The kernel may move a page, which is a fault and no doing of ours, but not in every round.
  std::uint64_t pages = UINT64_MAX;
  [[maybe_unused]] std::uint64_t fault_count = UINT64_MAX;
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t pages_before = mapped_pages();
    const std::uint64_t faults_before = faults();
    for (int i = 0; i < 20; ++i) work();
    pages = std::min(pages, mapped_pages() - pages_before);
    fault_count = std::min(fault_count, faults() - faults_before);
  }
  EXPECT_EQ(pages, 0u);
#ifndef __SANITIZE_ADDRESS__  // whose own memory is faulted in as it is used
  EXPECT_EQ(fault_count, 0u);
#endif
}

TEST(LoopIo, AFileSystemOnTheDeviceIsClean) {
  const Device device;
  const std::string path = device.path();
  char folder[] = "/tmp/pleat-loop-mount.XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string target = folder;
  ASSERT_EQ(std::system(("timeout 60 mkfs.ext4 -q " + path).c_str()), 0);
  ASSERT_EQ(mount(path.c_str(), folder, "ext4", MS_NOATIME, nullptr), 0) << std::strerror(errno);
  std::mt19937_64 random(11);
  std::vector<std::string> contents;
  for (int i = 0; i < 40; ++i) {
    std::string text(random() % 100'000, ' ');
    for (char& letter : text) letter = static_cast<char>('a' + random() % 4);
    std::ofstream(target + "/" + std::to_string(i)) << text;
    contents.push_back(std::move(text));
  }
  // Mounted again, so that the files come from the device and not from the page cache.
  EXPECT_EQ(umount(folder), 0) << std::strerror(errno);
  EXPECT_EQ(mount(path.c_str(), folder, "ext4", MS_NOATIME, nullptr), 0) << std::strerror(errno);
  for (int i = 0; i < 40; ++i) {
    std::ifstream file(target + "/" + std::to_string(i));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_TRUE(text == contents[static_cast<std::size_t>(i)]) << "file " << i;
  }
  EXPECT_EQ(umount(folder), 0) << std::strerror(errno);
  rmdir(folder);
  EXPECT_EQ(std::system(("timeout 60 fsck.ext4 -fn " + path + " >/dev/null 2>&1").c_str()), 0);
}

}  // namespace
}  // namespace pleat::device
