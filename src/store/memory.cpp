// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/memory.h"

#include <sys/mman.h>
#include <sys/shm.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

#include "base/page.h"

#ifndef MADV_POPULATE_WRITE  // linux/mman.h, since 5.14
#define MADV_POPULATE_WRITE 23
#endif

namespace pleat::store {
namespace {

constexpr int kOwnerOnly = 0600;

Error cannot_lock(int code) {
  return errno_error(code == ENOMEM || code == EAGAIN ? EPERM : code,
                     "cannot lock the store's memory; run as root or raise the limit "
                     "(ulimit -l unlimited)");
}

}  // namespace

Result<Memory> Memory::create(std::uint64_t bytes, bool lock) {
  // Not counted against overcommit, as most of it never comes to be.
  const int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | SHM_NORESERVE | kOwnerOnly);
  if (id < 0) {
    return errno_error(
        "cannot make the store's memory; raise the limits on shared memory (sysctl kernel.shmmax, "
        "kernel.shmall, kernel.shmmni)");
  }
  auto memory = attach(id);
  const int lock_error = memory && lock && shmctl(id, SHM_LOCK, nullptr) != 0 ? errno : 0;
  if (!memory || lock_error != 0) remove(id);
  if (lock_error != 0) return cannot_lock(lock_error);
  return memory;
}

void Memory::remove(int id) noexcept { shmctl(id, IPC_RMID, nullptr); }

Result<Memory> Memory::attach(int id) {
  shmid_ds status{};
  if (shmctl(id, IPC_STAT, &status) != 0) return errno_error("the store's memory is gone");
  void* const base = shmat(id, nullptr, 0);
  if (base == reinterpret_cast<void*>(-1)) {
    // EAGAIN: mlockall(MCL_FUTURE) is in force and the mapping exceeds RLIMIT_MEMLOCK.
    if (errno == EAGAIN) return cannot_lock(errno);
    return errno_error(
        "cannot map the store's memory; lift the address space limit (ulimit -v unlimited)");
  }
  const std::uint64_t bytes = status.shm_segsz;
  // A core file of the daemon is not to contain the pages of every program, nor to be as large.
  madvise(base, bytes, MADV_DONTDUMP);
  // Where mlockall(MCL_FUTURE) is in force it has marked this mapping too, which keeps nothing in
  // memory that the segment's own lock does not, and makes MADV_REMOVE fail.
  munlock(base, bytes);
  return Memory(id, static_cast<std::byte*>(base), bytes);
}

Memory::~Memory() {
  if (base_ != nullptr) shmdt(base_);
}

int Memory::populate(std::uint64_t offset, std::uint64_t length) noexcept {
  std::byte* const start = base_ + offset;
  int result;
  do {
    result = madvise(start, length, MADV_POPULATE_WRITE);
  } while (result != 0 && (errno == EINTR || errno == EAGAIN));
  if (result == 0) return 0;
  if (errno != EINVAL) return errno;
  // Before Linux 5.14. Locking populates too, and says where there is no memory, where a touch
  // alone would raise SIGBUS.
  if (mlock(start, length) != 0) return errno;
  return munlock(start, length) == 0 ? 0 : errno;
}

bool Memory::find_present(std::uint64_t offset, std::vector<bool>& present) const noexcept {
  constexpr std::size_t kPages = 1024;
  unsigned char states[kPages];
  for (std::size_t page = 0; page < present.size(); page += kPages) {
    const std::size_t count = std::min(kPages, present.size() - page);
    if (mincore(base_ + offset + page * kPageSize, count * kPageSize, states) != 0) return false;
    for (std::size_t i = 0; i < count; ++i) present[page + i] = (states[i] & 1) != 0;
  }
  return true;
}

std::uint64_t Memory::resident_bytes() const {
  std::ifstream file("/proc/sysvipc/shm");
  std::string line;
  std::getline(file, line);  // names of the columns
  while (std::getline(file, line)) {
    // key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap
    std::istringstream fields(line);
    std::string field;
    fields >> field >> field;
    if (field != std::to_string(id_)) continue;
    for (int i = 0; i < 12; ++i) fields >> field;
    std::uint64_t bytes = 0;
    fields >> bytes;
    return bytes;
  }
  return 0;
}

int Memory::give_back(std::uint64_t offset, std::uint64_t length) noexcept {
  return madvise(base_ + offset, length, MADV_REMOVE) == 0 ? 0 : errno;
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
