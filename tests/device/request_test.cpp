// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/request.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "base/page.h"
#include "codec/kernels.h"
#include "store/backing_file.h"

namespace pleat::device {
namespace {

constexpr std::size_t kPages = 64;
constexpr std::size_t kDeviceBytes = kPages * kPageSize;

std::unique_ptr<store::Store> make_store(std::uint64_t mem_limit_bytes = 0,
                                         unsigned sessions_max = 1) {
  store::StoreOptions options;
  options.device_bytes = kDeviceBytes;
  options.mem_limit_bytes = mem_limit_bytes;
  options.kernels = codec::select_kernels().value();
  options.sessions_max = sessions_max;
  return store::Store::create(options).value();
}

// Bytes that do, in turn, compress well, hardly, and not at all.
void fill_bytes(std::mt19937_64& random, std::byte* bytes, std::size_t length) {
  const std::uint64_t mask = std::array<std::uint64_t, 4>{0, 1, 15, 255}[random() % 4];
  for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<std::byte>(random() & mask);
}

class RequestServerTest : public testing::Test {
 protected:
  RequestServerTest() : store_(make_store()), server_(RequestServer::open(*store_).value()) {}

  std::unique_ptr<store::Store> store_;
  RequestServer server_;
};

TEST(RequestServerSlowness, IsThatOfAReadFromTheBackingDevice) {
  const store::BackingFile file(64);
  store::StoreOptions options;
  options.device_bytes = kDeviceBytes;
  options.kernels = codec::select_kernels().value();
  options.backing = file.path();
  options.backing_bytes = 64 * kPageSize;
  const auto store = store::Store::create(options).value();
  auto server = RequestServer::open(*store).value();
  std::vector<std::byte> data(4 * kPageSize);
  std::mt19937_64 random(1);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  ASSERT_EQ(server.serve(Operation::kWrite, 0, data.size(), data.data()), 0);
  EXPECT_FALSE(server.is_slow(Operation::kRead, 0, kDeviceBytes));
  // Pages 1 and 2.
  ASSERT_TRUE(store->write_back({.first_slot = 1, .end_slot = 3}));
  EXPECT_TRUE(server.is_slow(Operation::kRead, 0, kDeviceBytes));
  EXPECT_TRUE(server.is_slow(Operation::kRead, kPageSize - 512, 1024));
  EXPECT_FALSE(server.is_slow(Operation::kRead, 0, kPageSize));
  EXPECT_TRUE(server.is_slow(Operation::kRead, 3 * kPageSize - 512, 512));
  EXPECT_FALSE(server.is_slow(Operation::kRead, 3 * kPageSize, kPageSize));
  for (const Operation operation : {Operation::kWrite, Operation::kWriteZeroes}) {
    EXPECT_FALSE(server.is_slow(operation, 0, 4 * kPageSize));
    EXPECT_FALSE(server.is_slow(operation, kPageSize, 2 * kPageSize));
    EXPECT_TRUE(server.is_slow(operation, kPageSize + 512, kPageSize - 512));
    EXPECT_TRUE(server.is_slow(operation, 0, 3 * kPageSize - 512));
    EXPECT_FALSE(server.is_slow(operation, 512, kPageSize - 512));
  }
  EXPECT_FALSE(server.is_slow(Operation::kDiscard, kPageSize + 512, kPageSize));
  EXPECT_FALSE(server.is_slow(Operation::kFlush, 0, 0));
  for (const std::uint64_t offset : {std::uint64_t{kDeviceBytes}, UINT64_MAX - 511}) {
    EXPECT_FALSE(server.is_slow(Operation::kRead, offset, kPageSize));
  }
}

TEST_F(RequestServerTest, DoesWhatAPlainArrayOfBytesDoes) {
  std::vector<std::byte> model(kDeviceBytes);
  std::vector<std::byte> data(kDeviceBytes);
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    // Mostly short ranges, so that there are all ways to begin, end and lie inside a page.
    const std::size_t sectors_max = random() % 8 == 0 ? 12 * kPageSize / kSectorSize : 20;
    const std::size_t length = random() % (sectors_max + 1) * kSectorSize;
    const std::size_t offset = random() % ((kDeviceBytes - length) / kSectorSize + 1) * kSectorSize;
    const auto begin = model.begin() + static_cast<std::ptrdiff_t>(offset);
    const auto end = begin + static_cast<std::ptrdiff_t>(length);
    switch (random() % 6) {
      case 0:
      case 1:
        fill_bytes(random, data.data(), length);
        ASSERT_EQ(server_.serve(Operation::kWrite, offset, length, data.data()), 0);
        std::copy_n(data.begin(), length, begin);
        break;
      case 2:
      case 3:
        std::fill_n(data.begin(), length, std::byte{0xee});
        ASSERT_EQ(server_.serve(Operation::kRead, offset, length, data.data()), 0);
        ASSERT_TRUE(std::equal(begin, end, data.begin())) << offset << '+' << length;
        break;
      case 4:
        ASSERT_EQ(server_.serve(Operation::kWriteZeroes, offset, length, nullptr), 0);
        std::fill(begin, end, std::byte{0});
        break;
      case 5: {
        ASSERT_EQ(server_.serve(Operation::kDiscard, offset, length, nullptr), 0);
        const std::size_t first = (offset + kPageSize - 1) / kPageSize * kPageSize;
        const std::size_t last = (offset + length) / kPageSize * kPageSize;
        for (std::size_t byte = first; byte < last; ++byte) model[byte] = std::byte{0};
        break;
      }
    }
  }
  ASSERT_EQ(server_.serve(Operation::kRead, 0, kDeviceBytes, data.data()), 0);
  EXPECT_EQ(data, model);
}

TEST_F(RequestServerTest, ReadsTouchNothingBehindTheirLength) {
  std::vector<std::byte> data(3 * kPageSize, std::byte{0x55});
  ASSERT_EQ(server_.serve(Operation::kRead, 512, 5120, data.data()), 0);
  EXPECT_TRUE(std::all_of(data.begin(), data.begin() + 5120,
                          [](std::byte byte) { return byte == std::byte{0}; }));
  EXPECT_TRUE(std::all_of(data.begin() + 5120, data.end(),
                          [](std::byte byte) { return byte == std::byte{0x55}; }));
}

TEST_F(RequestServerTest, DiscardAndWriteZeroesFreeThePagesTheyCoverWhole) {
  std::vector<std::byte> data(8 * kPageSize);
  std::mt19937_64 random(3);
  for (auto& byte : data) byte = static_cast<std::byte>(random());
  for (const Operation operation : {Operation::kDiscard, Operation::kWriteZeroes}) {
    ASSERT_EQ(server_.serve(Operation::kWrite, 0, data.size(), data.data()), 0);
    ASSERT_EQ(store_->stats().orig_data_size, 8 * kPageSize);
    const std::uint64_t freed_before = store_->stats().notify_free;
    // From the second sector of page 1 to the second sector of page 5: pages 2, 3 and 4.
    ASSERT_EQ(server_.serve(operation, kPageSize + 512, 4 * kPageSize, nullptr), 0);
    EXPECT_EQ(store_->stats().orig_data_size, 5 * kPageSize);
    EXPECT_EQ(store_->stats().notify_free - freed_before, 3u);
    // Inside one page: nothing to free.
    ASSERT_EQ(server_.serve(operation, 6 * kPageSize + 512, 1024, nullptr), 0);
    EXPECT_EQ(store_->stats().orig_data_size, 5 * kPageSize);
  }
}

TEST_F(RequestServerTest, RefusesWhatIsNotOnTheDevice) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  struct Range {
    std::uint64_t offset;
    std::size_t length;
  };
  const Range ranges[] = {
      {kDeviceBytes, 512},         // behind the end
      {kDeviceBytes - 512, 1024},  // over the end
      {0, kDeviceBytes + 512},     // longer than the device
      {kMax - 511, 512},           // the sum is 0
      {kMax - 511, 4096},          // the sum is small
      {4096, kMax - 4095},         // the same by the length
      {1, 512},                    // off the grid
      {0, 511},
      {256, 256},
      {4096, 4097},
  };
  std::vector<std::byte> data(2 * kDeviceBytes);
  for (const Range& range : ranges) {
    for (const Operation operation :
         {Operation::kRead, Operation::kWrite, Operation::kDiscard, Operation::kWriteZeroes}) {
      EXPECT_EQ(server_.serve(operation, range.offset, range.length, data.data()), -EINVAL)
          << range.offset << '+' << range.length;
    }
  }
  EXPECT_EQ(store_->stats().orig_data_size, 0u);
  // What lies at the very end, and nothing at the end, is on the device.
  EXPECT_EQ(server_.serve(Operation::kRead, kDeviceBytes - 512, 512, data.data()), 0);
  EXPECT_EQ(server_.serve(Operation::kRead, kDeviceBytes, 0, data.data()), 0);
  EXPECT_EQ(server_.serve(Operation::kFlush, 0, 0, nullptr), 0);
  EXPECT_EQ(server_.serve(Operation::kUnsupported, 0, 512, nullptr), -EOPNOTSUPP);
}

TEST(RequestServerLimits, AFullStoreFailsTheWriteAndKeepsTheOldBytes) {
  const auto store = make_store(16 * kPageSize);
  RequestServer server = RequestServer::open(*store).value();
  std::mt19937_64 random(5);
  std::vector<std::byte> written(kDeviceBytes);
  for (auto& byte : written) byte = static_cast<std::byte>(random());
  std::size_t stored = 0;
  int error = 0;
  while (stored < kPages && error == 0) {
    error = server.serve(Operation::kWrite, stored * kPageSize, kPageSize,
                         written.data() + stored * kPageSize);
    if (error == 0) ++stored;
  }
  EXPECT_EQ(error, -ENOSPC);
  ASSERT_GT(stored, 4u);
  // The same for a part of a page that does not compress, and for one that was never written.
  EXPECT_EQ(server.serve(Operation::kWrite, stored * kPageSize + 512, 2048, written.data()),
            -ENOSPC);

  std::vector<std::byte> data(kDeviceBytes);
  ASSERT_EQ(server.serve(Operation::kRead, 0, kDeviceBytes, data.data()), 0);
  const auto end = static_cast<std::ptrdiff_t>(stored * kPageSize);
  EXPECT_TRUE(std::equal(data.begin(), data.begin() + end, written.begin()));
  EXPECT_TRUE(std::all_of(data.begin() + end, data.end(),
                          [](std::byte byte) { return byte == std::byte{0}; }));
  // What is freed can be used again.
  ASSERT_EQ(server.serve(Operation::kDiscard, 0, 4 * kPageSize, nullptr), 0);
  EXPECT_EQ(server.serve(Operation::kWrite, stored * kPageSize, kPageSize, written.data()), 0);
}

TEST(RequestServerThreads, PartsOfOnePageWrittenAtOnceAreBothKept) {
  const auto store = make_store(0, 2);
  RequestServer servers[] = {RequestServer::open(*store).value(),
                             RequestServer::open(*store).value()};
  constexpr std::uint64_t kRounds = 20'000;
  std::atomic<int> lost{0};
  const auto work = [&lost](RequestServer& server, std::uint64_t sector) {
    std::uint64_t words[kSectorSize / 8] = {};
    std::uint64_t back[kSectorSize / 8] = {};
    auto* const out = reinterpret_cast<std::byte*>(words);
    auto* const in = reinterpret_cast<std::byte*>(back);
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      words[round % 64] = round * (sector + 1);
      if (server.serve(Operation::kWrite, sector * kSectorSize, kSectorSize, out) != 0 ||
          server.serve(Operation::kRead, sector * kSectorSize, kSectorSize, in) != 0 ||
          std::memcmp(words, back, sizeof(words)) != 0) {
        ++lost;
      }
    }
  };
  std::thread other(work, std::ref(servers[1]), 5);
  work(servers[0], 2);
  other.join();
  EXPECT_EQ(lost.load(), 0);
}

TEST(RequestServerSessions, AreLimitedByTheStore) {
  const auto store = make_store(0, 1);
  {
    const auto first = RequestServer::open(*store);
    ASSERT_TRUE(first.has_value());
    const auto second = RequestServer::open(*store);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, ENFILE);
  }
  EXPECT_TRUE(RequestServer::open(*store).has_value());
}

}  // namespace
}  // namespace pleat::device
