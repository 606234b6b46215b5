// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/spare_memory.h"

#include <sys/mman.h>

namespace pleat {
namespace {

constexpr int kDontneedLocked = 24;  // MADV_DONTNEED_LOCKED (linux/mman.h), which glibc 2.36 lacks

}  // namespace

Result<SpareMemory> SpareMemory::hold(std::size_t bytes) {
  void* const address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (address == MAP_FAILED) return errno_error("no memory to spare");
  SpareMemory memory(address, bytes);
  if (mlock(address, bytes) != 0) return errno_error("cannot lock memory");
  return memory;
}

SpareMemory::~SpareMemory() {
  if (address_ != nullptr) munmap(address_, bytes_);
}

void SpareMemory::give_up() noexcept { madvise(address_, bytes_, kDontneedLocked); }

}  // namespace pleat
