// SPDX-License-Identifier: MIT OR Apache-2.0
// Batches must reach who compresses them and come back, and nothing that the other process does may
// make the daemon crash, read what is not a block, or wait for ever.
#include "control/batch_exchange.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <thread>
#include <utility>

namespace pleat::control {
namespace {

constexpr std::uint32_t kPages = 8;

class BatchExchange : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    client_.reset(ends[0]);
    daemon_.reset(ends[1]);
    auto memory = BatchMemory::create(kPages);
    ASSERT_TRUE(memory) << memory.error().message;
    memory_.emplace(*std::move(memory));
  }
  RemoteBatches remote(unsigned timeout_ms = RemoteBatches::kTimeout_ms) {
    auto memory = BatchMemory::attach(memory_->fd(), kPages);
    EXPECT_TRUE(memory) << memory.error().message;
    return {*std::move(memory), daemon_.get(), codec::CodecId::kLine, timeout_ms};
  }
  // What compress() says where the client has answered with these bytes.
  int answered(const void* bytes, std::size_t size) {
    RemoteBatches batches = remote();
    EXPECT_EQ(send(client_.get(), bytes, size, 0), static_cast<ssize_t>(size));
    const int code = batches.compress(1);
    std::uint32_t count = 0;
    EXPECT_EQ(recv(client_.get(), &count, sizeof(count), 0), 4);
    EXPECT_EQ(count, 1u);
    return code;
  }

  UniqueFd client_;
  UniqueFd daemon_;
  std::optional<BatchMemory> memory_;
};

TEST_F(BatchExchange, PagesGoThereAndBlocksComeBack) {
  RemoteBatches batches = remote();
  EXPECT_EQ(batches.codec(), codec::CodecId::kLine);
  EXPECT_EQ(batches.pages_max(), kPages);
  // A block is the first bytes of its page, as many as the page's first byte says.
  std::thread server([&] {
    const Result<void> served = serve_batches(client_.get(), kPages, [&](std::uint32_t count) {
      for (std::uint32_t i = 0, offset = 0; i < count; ++i) {
        const auto size = static_cast<std::uint32_t>(*memory_->page(i));
        std::memcpy(memory_->blocks() + offset, memory_->page(i), size);
        memory_->offsets()[i] = offset;
        memory_->sizes()[i] = size;
        offset += size;
      }
      return count == 3 ? ENODEV : 0;
    });
    EXPECT_TRUE(served);
  });
  for (std::size_t i = 0; i < kPages; ++i) {
    std::memset(batches.page(i), static_cast<int>(i * 10), kPageSize);
  }
  EXPECT_EQ(batches.compress(kPages), 0);
  for (std::size_t i = 0; i < kPages; ++i) {
    std::byte block[100] = {};
    EXPECT_EQ(batches.take_block(i, block, sizeof(block)), i * 10);
    for (std::size_t at = 0; at < i * 10; ++at) ASSERT_EQ(block[at], std::byte(i * 10));
    ASSERT_EQ(block[i * 10], std::byte{0});
  }
  std::byte block[69];
  EXPECT_EQ(batches.take_block(7, block, sizeof(block)), 0u);
  EXPECT_EQ(batches.compress(3), ENODEV);
  EXPECT_EQ(batches.compress(2), 0);
  shutdown(client_.get(), SHUT_RDWR);
  server.join();
  EXPECT_EQ(batches.compress(1), ECONNRESET);
}

TEST_F(BatchExchange, BlocksOutsideTheMemoryAreNone) {
  RemoteBatches batches = remote();
  constexpr std::uint32_t kEnd = kPages * kPageSize;
  std::byte block[kPageSize];
  for (const auto& [offset, size] :
       {std::pair(kEnd, 1u), std::pair(kEnd - 99, 100u), std::pair(kEnd + 1, 0u),
        std::pair(0u, 4097u), std::pair(0xFFFF'FFFFu, 100u), std::pair(0u, 0xFFFF'FFFFu),
        std::pair(0xFFFF'FFFFu, 0xFFFF'FFFFu)}) {
    memory_->offsets()[3] = offset;
    memory_->sizes()[3] = size;
    EXPECT_EQ(batches.take_block(3, block, sizeof(block)), 0u) << offset << ", " << size;
  }
  memory_->offsets()[3] = kEnd - 100;
  memory_->sizes()[3] = 100;
  EXPECT_EQ(batches.take_block(3, block, sizeof(block)), 100u);
}

TEST_F(BatchExchange, AnswersThatAreNoneAreErrors) {
  std::int32_t number = ENODEV;
  EXPECT_EQ(answered(&number, sizeof(number)), ENODEV);
  for (const std::int32_t bad : {-1, 4096, std::numeric_limits<std::int32_t>::min()}) {
    EXPECT_EQ(answered(&bad, sizeof(bad)), EPROTO) << bad;
  }
  EXPECT_EQ(answered(&number, 3), EPROTO);
  const std::int32_t numbers[] = {0, 0};
  EXPECT_EQ(answered(numbers, sizeof(numbers)), EPROTO);
  RemoteBatches hurried = remote(20);
  EXPECT_EQ(hurried.compress(1), ETIMEDOUT);
  client_.reset();
  EXPECT_EQ(remote().compress(1), ECONNRESET);
}

TEST_F(BatchExchange, BatchThatHasNoRoomIsNotServed) {
  for (const std::uint32_t count : {0u, kPages + 1}) {
    ASSERT_EQ(send(daemon_.get(), &count, sizeof(count), 0), 4);
    const Result<void> served = serve_batches(client_.get(), kPages, [](std::uint32_t) {
      ADD_FAILURE();
      return 0;
    });
    EXPECT_EQ(served.error().code, EPROTO);
  }
}

TEST(BatchMemoryOfOthers, IsTakenOnlyWhereItCannotBeCutShort) {
  const auto made = BatchMemory::create(kPages);
  ASSERT_TRUE(made);
  EXPECT_NE(ftruncate(made->fd(), 4096), 0);
  for (const std::uint32_t pages : {0u, kPages - 1, kPages + 1, kBatchPagesMax + 1}) {
    EXPECT_EQ(BatchMemory::attach(made->fd(), pages).error().code, EINVAL) << pages;
  }
  const UniqueFd unsealed(memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(unsealed.get(), static_cast<off_t>(made->bytes())), 0);
  EXPECT_EQ(BatchMemory::attach(unsealed.get(), kPages).error().code, EINVAL);
  ASSERT_EQ(fcntl(unsealed.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  EXPECT_TRUE(BatchMemory::attach(unsealed.get(), kPages));
  int pipes[2];
  ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
  const UniqueFd reader(pipes[0]);
  const UniqueFd writer(pipes[1]);
  EXPECT_EQ(BatchMemory::attach(reader.get(), kPages).error().code, EINVAL);
}

}  // namespace
}  // namespace pleat::control
