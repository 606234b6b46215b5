// SPDX-License-Identifier: MIT OR Apache-2.0
// Memory that who serves a device has before it starts, and that is never paged out, since paging
// it in may need the very device.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"

namespace pleat::device {

class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping() {
    if (address_ != nullptr) munmap(address_, bytes_);
  }

  // Anonymous memory, faulted in and locked; `what` it is for stands in errors.
  static Result<Mapping> locked(std::size_t bytes, const std::string& what) {
    auto mapping = map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!mapping) return errno_error("no memory for " + what);
    if (mlock(mapping->address_, bytes) != 0) {
      return errno_error("cannot lock " + what + "; run as root or raise the limit (ulimit -l)");
    }
    return mapping;
  }

  // Read-only view of a device file's memory, which the kernel keeps resident.
  static Result<Mapping> of_device(int fd, std::uint64_t offset, std::size_t bytes) {
    auto mapping = map(bytes, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(offset));
    if (!mapping) return errno_error("cannot map the request descriptors of the ublk device");
    return mapping;
  }

  // Gives the pages of anonymous memory back and keeps the addresses, which takes no memory as
  // munmap() may. Before Linux 5.18 it keeps the pages.
  void give_up() noexcept {
    constexpr int kDontneedLocked = 24;  // MADV_DONTNEED_LOCKED, which glibc 2.36 lacks
    madvise(address_, bytes_, kDontneedLocked);
  }

  std::byte* data() const noexcept { return static_cast<std::byte*>(address_); }

 private:
  static Result<Mapping> map(std::size_t bytes, int protection, int flags, int fd, off_t offset) {
    void* const address = mmap(nullptr, bytes, protection, flags | MAP_POPULATE, fd, offset);
    if (address == MAP_FAILED) return Error{errno, ""};
    Mapping mapping;
    mapping.address_ = address;
    mapping.bytes_ = bytes;
    return mapping;
  }

  void* address_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace pleat::device
