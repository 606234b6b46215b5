// SPDX-License-Identifier: MIT OR Apache-2.0
#include "control/batch_exchange.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "control/deadline.h"

namespace pleat::control {
namespace {

constexpr int kErrnoMax = 4095;

// What the other process may write at any moment is read once.
std::uint32_t read_once(std::uint32_t* value) noexcept {
  return std::atomic_ref(*value).load(std::memory_order_relaxed);
}

// A message of four bytes.
template <typename Number>
int send_number(int socket, Number number) noexcept {
  static_assert(sizeof(number) == 4);
  while (true) {
    const ssize_t count = send(socket, &number, sizeof(number), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count == sizeof(number)) return 0;
    if (count >= 0) return EPROTO;
    if (errno != EINTR) return errno;
  }
}

// 0 or an errno; ECONNRESET where the other end is shut.
template <typename Number>
int receive_number(int socket, const Deadline* deadline, Number* number) noexcept {
  static_assert(sizeof(*number) == 4);
  while (true) {
    pollfd entry{socket, POLLIN, 0};
    const int ready = poll(&entry, 1, deadline != nullptr ? deadline->left_ms() : -1);
    if (ready < 0 && errno != EINTR) return errno;
    if (ready == 0) return ETIMEDOUT;
    if (ready < 0) continue;
    const ssize_t count = recv(socket, number, sizeof(*number), MSG_DONTWAIT | MSG_TRUNC);
    if (count == sizeof(*number)) return 0;
    if (count == 0) return ECONNRESET;
    if (count > 0) return EPROTO;
    if (errno != EINTR && errno != EAGAIN) return errno;
  }
}

}  // namespace

Result<BatchMemory> BatchMemory::map(UniqueFd fd, int mapped_fd, std::uint32_t pages) {
  void* const data =
      mmap(nullptr, bytes_of(pages), PROT_READ | PROT_WRITE, MAP_SHARED, mapped_fd, 0);
  if (data == MAP_FAILED) return errno_error("cannot map the memory of a batch");
  return BatchMemory(std::move(fd), static_cast<std::byte*>(data), pages);
}

Result<BatchMemory> BatchMemory::create(std::uint32_t pages) {
  UniqueFd fd(memfd_create("pleat-batch", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(bytes_of(pages))) != 0 ||
      fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return errno_error("cannot make the memory of a batch");
  }
  const int mapped = fd.get();
  return map(std::move(fd), mapped, pages);
}

Result<BatchMemory> BatchMemory::attach(int fd, std::uint32_t pages) {
  struct stat status {};
  const int seals = fcntl(fd, F_GET_SEALS);
  if (pages == 0 || pages > kBatchPagesMax || seals < 0 || (seals & F_SEAL_SHRINK) == 0 ||
      fstat(fd, &status) != 0 || static_cast<std::size_t>(status.st_size) != bytes_of(pages)) {
    return Error{EINVAL, "the memory for batches is no memfd for 1 to " +
                             std::to_string(kBatchPagesMax) +
                             " pages that is sealed against getting smaller"};
  }
  return map(UniqueFd(), fd, pages);
}

BatchMemory::BatchMemory(BatchMemory&& other) noexcept
    : fd_(std::move(other.fd_)), data_(std::exchange(other.data_, nullptr)), pages_(other.pages_) {}

BatchMemory::~BatchMemory() {
  if (data_ != nullptr) munmap(data_, bytes());
}

int RemoteBatches::compress(std::size_t count) noexcept {
  const Deadline deadline(timeout_ms_);
  if (const int code = send_number(socket_, static_cast<std::uint32_t>(count)); code != 0) {
    return code == EPIPE ? ECONNRESET : code;
  }
  std::int32_t answer = 0;
  if (const int code = receive_number(socket_, &deadline, &answer); code != 0) return code;
  return answer >= 0 && answer <= kErrnoMax ? answer : EPROTO;
}

std::size_t RemoteBatches::take_block(std::size_t i, std::byte* dst,
                                      std::size_t capacity) noexcept {
  const std::size_t blocks_bytes = std::size_t{memory_.pages()} * kPageSize;
  const std::size_t size = read_once(memory_.sizes() + i);
  const std::size_t offset = read_once(memory_.offsets() + i);
  if (size > capacity || offset > blocks_bytes || size > blocks_bytes - offset) return 0;
  std::memcpy(dst, memory_.blocks() + offset, size);
  return size;
}

Result<void> serve_batches(int socket, std::uint32_t pages_max,
                           const std::function<int(std::uint32_t count)>& compress) {
  while (true) {
    std::uint32_t count = 0;
    const int code = receive_number(socket, nullptr, &count);
    if (code == ECONNRESET) return {};
    if (code != 0) return errno_error(code, "cannot learn of the next batch");
    if (count == 0 || count > pages_max) {
      return Error{EPROTO, "the daemon asks for a batch of another size than it has room for"};
    }
    const std::int32_t answer = compress(count);
    if (const int sent = send_number(socket, answer); sent != 0) {
      return errno_error(sent, "cannot give a batch back");
    }
  }
}

}  // namespace pleat::control
