// SPDX-License-Identifier: MIT OR Apache-2.0
// The backing device: the block device or file that holds the objects of pages that are written
// back (docs/formats/store.md).
//
// It is used in blocks of 4096 bytes, past the page cache. Block 0 is a label that says whose it
// is. An object begins at a unit of 64 bytes and may reach into the next block. A byte a block, in
// the store's memory, counts the objects that are in it; a block without any is free. The slot
// words say all of this too, so a successor counts anew.
//
// Thread safety: find_run(), take() and write() by one thread; read() and release() by any. Nothing
// is allocated after open().
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/page.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "store/object.h"
#include "store/slot_word.h"

namespace pleat::store {

using BackingId = std::array<std::byte, 16>;

// How many objects are in a block.
using BlockCount = std::atomic<std::uint8_t>;
static_assert(sizeof(BlockCount) == 1 && BlockCount::is_always_lock_free);

constexpr std::size_t backing_units(std::size_t length) {
  return (sizeof(ObjectHeader) + length + kBackingUnit - 1) / kBackingUnit;
}

// For direct I/O: whole blocks at a block's boundary, in memory from the start.
class BlockBuffer {
 public:
  explicit BlockBuffer(std::size_t blocks);
  std::byte* data() const noexcept { return bytes_.get(); }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept;
  };
  std::unique_ptr<std::byte[], Free> bytes_;
};

// What an object lies in at most.
inline constexpr std::size_t kObjectBlocksMax = 2;
// One of a raw page ends 72 bytes after the next block's beginning at least, and begins at a unit.
static_assert((kPageSize / kBackingUnit - 1) + backing_units(kPageSize) <=
              kObjectBlocksMax * kPageSize / kBackingUnit);

class Backing {
 public:
  // Bytes that a store can use of what is at `path`. ENOTBLK where that is neither a block device
  // nor a file, EINVAL where it is too small or takes no direct I/O.
  static Result<std::uint64_t> usable_bytes(const std::string& path);

  // `counts`: one a block.
  explicit Backing(std::span<BlockCount> counts) noexcept : counts_(counts) {}

  // Opens it. As usable_bytes(), and EINVAL where it is smaller than it was.
  Result<void> open(const std::string& path);
  // Writes the label of a new store. EBUSY where somebody uses it.
  Result<void> begin(const BackingId& id);
  // For a successor: EINVAL where it has not this label, and then it is closed.
  Result<void> check(const BackingId& id);
  // Keeps the kernel from giving the block device to somebody else; whether nobody else has it. The
  // last owner in this daemon may have it for a moment after its death.
  bool claim() noexcept;

  // -1 where it is not open.
  int descriptor() const noexcept { return file_.get(); }

  struct Run {
    std::uint64_t first;  // block
    std::uint64_t count;
  };

  // Counts begin anew, before all that follows.
  void begin_adoption() noexcept;

  // Free blocks in a row: `wanted` of them, or the longest that there is, of at least
  // kObjectBlocksMax.
  std::optional<Run> find_run(std::uint64_t wanted) noexcept;
  // The object that the word, written back, leads to is in its blocks from now on, or is not.
  void take(SlotWord word) noexcept;
  void release(SlotWord word) noexcept;

  // Writes whole blocks. 0 or an errno.
  int write(Run run, const std::byte* bytes) noexcept;
  // Reads the blocks that the object is in, of which there are at most kObjectBlocksMax.
  int read(SlotWord word, std::byte* bytes) const noexcept;
  // Where in these the object begins.
  static std::size_t offset_in_blocks(SlotWord word) noexcept {
    return word.location() * kBackingUnit % kPageSize;
  }
  static Run blocks_of(SlotWord word) noexcept;

  std::uint64_t blocks() const noexcept { return counts_.size(); }
  // Blocks with objects in them.
  std::uint64_t used_blocks() const noexcept { return used_.load(std::memory_order_relaxed); }

 private:
  Result<void> look_at_label(const BackingId& id) const;
  int read_blocks(Run run, std::byte* bytes) const noexcept;
  // Whether the object lies where objects may.
  bool contains(SlotWord word) const noexcept;

  const std::span<BlockCount> counts_;
  UniqueFd file_;
  UniqueFd claim_;          // the same, opened for this process alone
  std::uint64_t next_ = 1;  // block at which find_run() begins
  std::atomic<std::uint64_t> used_{0};
};

}  // namespace pleat::store
