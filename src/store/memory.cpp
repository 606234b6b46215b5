// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/memory.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <utility>

#include "base/page.h"

#ifndef MADV_POPULATE_WRITE  // linux/mman.h, since 5.14
#define MADV_POPULATE_WRITE 23
#endif

namespace pleat::store {
namespace {

Error cannot_lock(int code) {
  return errno_error(code == ENOMEM || code == EAGAIN ? EPERM : code,
                     "cannot lock the store's memory; run as root or raise the limit "
                     "(ulimit -l unlimited)");
}

}  // namespace

Result<Memory> Memory::create(std::uint64_t bytes, bool lock) {
  UniqueFd fd(memfd_create("pleat-store", MFD_CLOEXEC));
  if (!fd) return errno_error("cannot make the store's memfd");
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    return errno_error(
        "cannot size the store's memfd; lift the file size limit (ulimit -f unlimited)");
  }
  void* base =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (base == MAP_FAILED) {
    // EAGAIN: mlockall(MCL_FUTURE) is in force and the mapping exceeds RLIMIT_MEMLOCK.
    if (errno == EAGAIN) return cannot_lock(errno);
    return errno_error(
        "cannot map the store's memory; lift the address space limit (ulimit -v unlimited)");
  }
  Memory memory(std::move(fd), static_cast<std::byte*>(base), bytes);
  // A core file of the daemon is not to contain the pages of every program, nor to be as large.
  madvise(base, bytes, MADV_DONTDUMP);
  // ONFAULT locks what is there and what comes, without making the sparse rest come at once. Where
  // mlockall(MCL_FUTURE | MCL_ONFAULT) is in force already this changes nothing.
  if (lock && mlock2(base, bytes, MLOCK_ONFAULT) != 0) return cannot_lock(errno);
  return memory;
}

Memory::Memory(Memory&& other) noexcept
    : fd_(std::move(other.fd_)),
      base_(std::exchange(other.base_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Memory::~Memory() {
  if (base_ != nullptr) munmap(base_, bytes_);
}

int Memory::populate(std::uint64_t offset, std::uint64_t length) noexcept {
  std::byte* const start = base_ + offset;
  int result;
  do {
    result = madvise(start, length, MADV_POPULATE_WRITE);
  } while (result != 0 && (errno == EINTR || errno == EAGAIN));
  if (result == 0) return 0;
  if (errno != EINVAL) return errno;
  // Before Linux 5.14. fallocate() finds the memory or says that there is none, where a touch alone
  // would raise SIGBUS; the touch then fills the page tables. A page that is touched again keeps
  // its content.
  if (fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
    return errno;
  }
  for (std::uint64_t at = 0; at < length; at += kPageSize) {
    __atomic_fetch_or(reinterpret_cast<std::uint8_t*>(start + at), 0, __ATOMIC_RELAXED);
  }
  return 0;
}

int Memory::give_back(std::uint64_t offset, std::uint64_t length) noexcept {
  return fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                   static_cast<off_t>(offset), static_cast<off_t>(length)) == 0
             ? 0
             : errno;
}

std::uint64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string key; file >> key;) {
    std::uint64_t value_kib = 0;
    if (key == "MemAvailable:" && file >> value_kib) return value_kib * 1024;
    file.ignore(256, '\n');
  }
  return UINT64_MAX;
}

}  // namespace pleat::store
