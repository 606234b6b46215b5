// SPDX-License-Identifier: MIT OR Apache-2.0
// Serving a request allocates nothing: an allocation there may wait for the very device.
//
// This file replaces the C library's allocation functions in the whole program with ones that count
// (GNU C library, "Replacing malloc"). The sanitizers replace them too, so there it counts nothing.
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <atomic>
#include <cstdlib>

#include "device/ublk_fixture.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {
std::atomic<std::uint64_t> allocations{0};
}

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_memalign(alignment, bytes);
}
}

namespace pleat::device {
namespace {

// Every kind of request, also those that fail; the test's own thread only makes system calls.
void use_device(int fd, Buffer& buffer) {
  for (int turn = 0; turn < 50; ++turn) {
    const off_t offset = turn * off_t{4096 + 512};
    ASSERT_EQ(pwrite(fd, buffer.data(), buffer.size(), offset),
              static_cast<ssize_t>(buffer.size()));
    ASSERT_EQ(pread(fd, buffer.data(), buffer.size(), offset), static_cast<ssize_t>(buffer.size()));
    ASSERT_EQ(pread(fd, buffer.data(), kSectorSize, offset), ssize_t{kSectorSize});
    std::uint64_t range[2] = {static_cast<std::uint64_t>(offset), buffer.size()};
    ASSERT_EQ(ioctl(fd, BLKZEROOUT, range), 0);
    ASSERT_EQ(ioctl(fd, BLKDISCARD, range), 0);
  }
}

TEST(UblkAllocation, ServiceAllocatesNothing) {
  for (const bool user_copy : {false, true}) {
    TransportOptions options;
    options.block_bytes = 512;
    options.user_copy = user_copy;
    Device device(options);
    const UniqueFd fd = open_direct(device.path());
    Buffer buffer(256 << 10);
    fill(buffer.data(), buffer.size(), 11);
    // The counter counts.
    const std::uint64_t first = allocations;
    delete new std::string(100, 'x');
    ASSERT_GT(allocations, first);

    const std::uint64_t before = allocations;
    use_device(fd.get(), buffer);
    EXPECT_EQ(allocations - before, 0u) << (user_copy ? "USER_COPY" : "plain copy");
  }
}

}  // namespace
}  // namespace pleat::device

#endif
