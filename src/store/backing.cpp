// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/backing.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>
#include <thread>

#include "base/units.h"

namespace pleat::store {
namespace {

// First in block 0.
struct Label {
  static constexpr std::uint64_t kMagic = 0x4b4341425441454c;  // "LEATBACK" there
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t block_bytes;
  std::uint64_t blocks;
  BackingId id;

  bool operator==(const Label&) const = default;
};
constexpr std::uint32_t kLabelVersion = 1;

// Who looks at a device for a moment has let go of it after these.
constexpr int kClaimAttempts = 10;
constexpr std::chrono::milliseconds kClaimPause(50);
// A search that has found some room ends after so many blocks: a millisecond or less.
constexpr std::uint64_t kBlocksLooked = 1 << 20;

// The label and room for one object.
constexpr std::uint64_t kBlocksMin = 1 + kObjectBlocksMax;

bool is_remote(std::uint32_t type) {
  constexpr std::uint32_t kCephMagic = 0x00c36400;  // linux/ceph/super.h
  constexpr std::uint32_t kRemote[] = {NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,  CIFS_SUPER_MAGIC,
                                       SMB2_SUPER_MAGIC, V9FS_MAGIC,       AFS_SUPER_MAGIC,
                                       AFS_FS_MAGIC,     CODA_SUPER_MAGIC, kCephMagic};
  return std::find(std::begin(kRemote), std::end(kRemote), type) != std::end(kRemote);
}

struct OpenFile {
  UniqueFd file;
  std::uint64_t blocks;
};

Result<OpenFile> open_direct(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return errno_error("cannot look at " + path);
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
    return Error{ENOTBLK, path + " is neither a block device nor a file"};
  }
  UniqueFd file(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  if (!file && errno == EINVAL) {
    return Error{EINVAL,
                 path + " takes no direct I/O, as on a file system in memory; choose another"};
  }
  if (!file) return errno_error("cannot open the backing device " + path);
  auto bytes = static_cast<std::uint64_t>(status.st_size);
  struct statfs system {};
  if (S_ISREG(status.st_mode) && fstatfs(file.get(), &system) == 0) {
    if (system.f_type == TMPFS_MAGIC) {
      // Its pages may be swapped out, to the device that writes to them.
      return Error{EINVAL, path + " is in memory (tmpfs); choose a file on a disk"};
    }
    if (is_remote(static_cast<std::uint32_t>(system.f_type))) {
      return Error{EINVAL, path +
                               " is on a network file system, where what a killed process has "
                               "written may arrive later; choose a file on a local disk"};
    }
  }
  if (S_ISBLK(status.st_mode) && ioctl(file.get(), BLKGETSIZE64, &bytes) != 0) {
    return errno_error("cannot tell the size of " + path);
  }
  const std::uint64_t blocks = std::min(bytes, kBackingBytesMax) / kPageSize;
  if (blocks < kBlocksMin) {
    return Error{EINVAL, path + " has " + format_size(bytes) +
                             "; a backing device needs at least " +
                             format_size(kBlocksMin * kPageSize)};
  }
  return OpenFile{std::move(file), blocks};
}

// Adds to a block's count and returns what it was. One that damaged words have taken to an end
// stays there.
std::uint8_t change(BlockCount& block, int amount) noexcept {
  std::uint8_t count = block.load(std::memory_order_relaxed);
  while (count != UINT8_MAX && (count != 0 || amount > 0) &&
         !block.compare_exchange_weak(count, static_cast<std::uint8_t>(count + amount),
                                      std::memory_order_release, std::memory_order_relaxed)) {
  }
  return count;
}

// 0 or an errno.
template <typename Transfer>
int transfer(std::size_t bytes, Transfer&& transfer_rest) noexcept {
  for (std::size_t done = 0; done < bytes;) {
    const ssize_t count = transfer_rest(done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) return EIO;  // it has become shorter
    done += static_cast<std::size_t>(count);
  }
  return 0;
}

}  // namespace

BlockBuffer::BlockBuffer(std::size_t blocks)
    : bytes_(static_cast<std::byte*>(std::aligned_alloc(kPageSize, blocks * kPageSize))) {
  if (!bytes_) throw std::bad_alloc();
  std::memset(bytes_.get(), 0, blocks * kPageSize);
}

void BlockBuffer::Free::operator()(std::byte* bytes) const noexcept { std::free(bytes); }

Result<std::uint64_t> Backing::usable_bytes(const std::string& path) {
  auto opened = open_direct(path);
  if (!opened) return std::move(opened).error();
  return opened->blocks * kPageSize;
}

Result<void> Backing::open(const std::string& path) {
  auto opened = open_direct(path);
  if (!opened) return std::move(opened).error();
  if (opened->blocks < blocks()) {
    return Error{EINVAL, path + " has become smaller than " + format_size(blocks() * kPageSize)};
  }
  file_ = std::move(opened->file);
  return {};
}

bool Backing::claim() noexcept {
  if (claim_) return true;
  struct stat status {};
  if (fstat(file_.get(), &status) != 0) return false;
  // Of a file there is no such thing; flock() keeps other stores from it.
  if (!S_ISBLK(status.st_mode)) return true;
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/self/fd/%d", file_.get());
  claim_.reset(::open(path, O_RDONLY | O_EXCL | O_CLOEXEC));
  return static_cast<bool>(claim_);
}

Result<void> Backing::begin(const BackingId& id) {
  // udev locks it for the moment in which it looks at it.
  bool is_mine = false;
  for (int attempt = 0; !is_mine && attempt < kClaimAttempts; ++attempt) {
    if (attempt != 0) std::this_thread::sleep_for(kClaimPause);
    is_mine = flock(file_.get(), LOCK_EX | LOCK_NB) == 0 && claim();
  }
  if (!is_mine) {
    return Error{EBUSY, "the backing device is in use; choose another"};
  }
  const BlockBuffer block(1);
  const Label label{Label::kMagic, kLabelVersion, kPageSize, blocks(), id};
  std::memcpy(block.data(), &label, sizeof(label));
  if (const int code = write({0, 1}, block.data()); code != 0) {
    return errno_error(code, "cannot write to the backing device");
  }
  // Its successors have it as well, and other stores do not get it.
  if (flock(file_.get(), LOCK_SH) != 0) return errno_error("cannot share the backing device");
  return {};
}

Result<void> Backing::check(const BackingId& id) {
  auto checked = look_at_label(id);
  if (!checked) file_.reset();
  return checked;
}

Result<void> Backing::look_at_label(const BackingId& id) const {
  if (flock(file_.get(), LOCK_SH | LOCK_NB) != 0) {
    return Error{EBUSY, "the backing device is another store's"};
  }
  const BlockBuffer block(1);
  if (const int code = read_blocks({0, 1}, block.data()); code != 0) {
    return errno_error(code, "cannot read the backing device");
  }
  Label label;
  std::memcpy(&label, block.data(), sizeof(label));
  if (label == Label{Label::kMagic, kLabelVersion, kPageSize, blocks(), id}) return {};
  return Error{EINVAL, "the backing device has not the label that the store has written"};
}

void Backing::begin_adoption() noexcept {
  for (BlockCount& count : counts_) count.store(0, std::memory_order_relaxed);
  counts_.front().store(1, std::memory_order_relaxed);
  used_.store(0, std::memory_order_relaxed);
  next_ = 1;
}

std::optional<Backing::Run> Backing::find_run(std::uint64_t wanted) noexcept {
  Run longest{0, 0};
  Run run{0, 0};
  // Once around, and on through a run that began where the search did.
  for (std::uint64_t seen = 0, block = next_; seen < blocks() + wanted; ++seen, ++block) {
    if (block == blocks()) {
      block = 0;
      run.count = 0;
    }
    if (counts_[block].load(std::memory_order_acquire) != 0) {
      run.count = 0;
      continue;
    }
    if (run.count == 0) run.first = block;
    if (++run.count > longest.count) longest = run;
    if (run.count == wanted) break;
    if (seen >= kBlocksLooked && longest.count >= kObjectBlocksMax) break;
  }
  if (longest.count < kObjectBlocksMax) return std::nullopt;
  next_ = longest.first;
  return longest;
}

Backing::Run Backing::blocks_of(SlotWord word) noexcept {
  const std::uint64_t begin = word.location() * kBackingUnit;
  const std::uint64_t end = begin + backing_units(word.length()) * kBackingUnit;
  const std::uint64_t first = begin / kPageSize;
  return {first, (end + kPageSize - 1) / kPageSize - first};
}

bool Backing::contains(SlotWord word) const noexcept {
  const Run run = blocks_of(word);
  return run.first != 0 && run.first + run.count <= blocks();
}

void Backing::take(SlotWord word) noexcept {
  if (!contains(word)) return;
  const Run run = blocks_of(word);
  for (std::uint64_t block = run.first; block < run.first + run.count; ++block) {
    if (change(counts_[block], 1) == 0) used_.fetch_add(1, std::memory_order_relaxed);
  }
}

void Backing::release(SlotWord word) noexcept {
  // A word that was damaged may point anywhere.
  if (!contains(word)) return;
  const Run run = blocks_of(word);
  for (std::uint64_t block = run.first; block < run.first + run.count; ++block) {
    if (change(counts_[block], -1) == 1) used_.fetch_sub(1, std::memory_order_relaxed);
  }
}

int Backing::write(Run run, const std::byte* bytes) noexcept {
  return transfer(run.count * kPageSize, [&](std::size_t done) {
    return pwrite(file_.get(), bytes + done, run.count * kPageSize - done,
                  static_cast<off_t>(run.first * kPageSize + done));
  });
}

int Backing::read_blocks(Run run, std::byte* bytes) const noexcept {
  if (!file_) return ENODEV;
  return transfer(run.count * kPageSize, [&](std::size_t done) {
    return pread(file_.get(), bytes + done, run.count * kPageSize - done,
                 static_cast<off_t>(run.first * kPageSize + done));
  });
}

int Backing::read(SlotWord word, std::byte* bytes) const noexcept {
  return contains(word) ? read_blocks(blocks_of(word), bytes) : EIO;
}

}  // namespace pleat::store
