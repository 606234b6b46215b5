// SPDX-License-Identifier: MIT OR Apache-2.0
// The store: compressed pages in memory, addressed by slot. It knows pages, not devices.
//
//   write: scan for same-filled -> compress -> object in the pool -> slot word published
//   read:  slot word locked -> object checked and decompressed -> slot word unlocked
//
// Everything lives in one segment of shared memory: slot table, page map and pool
// (docs/formats/store.md). All of the slot table is there before the first write; pool memory is
// provided ahead of the writers by a background thread, which also gives surplus back to the
// system; another one moves pages closer together where overwrites and discards leave holes, and
// a third one counts how long they have been left alone.
//
// Thread safety: reads, writes and discards of any slots from any number of threads at once, each
// thread with its own Session. Operations on one slot are linearisable. Nothing is allocated after
// create() and open_session(), and no operation waits for anything but another operation on the
// same slot or a short lock of the pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/page.h"
#include "base/result.h"
#include "codec/batch_compressor.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "store/memory.h"

namespace pleat::store {

enum class [[nodiscard]] StoreStatus : std::uint8_t{
    kOk,
    // mem_limit is reached. The slot keeps its old page.
    kOverLimit,
    // The pool has no memory ready at this moment, or the system has none. The slot keeps its old
    // page.
    kNoReserve,
    // The stored object fails its check or does not decompress. Nothing is returned as data.
    kCorrupt,
    // The page is written back, and the backing device cannot be read.
    kBackingFailed,
};

// 0, -ENOSPC (kOverLimit, kNoReserve) or -EIO (kCorrupt, kBackingFailed).
int to_errno(StoreStatus status) noexcept;

struct StoreOptions {
  // Size of the device, a positive multiple of 4096, at most 16 TiB.
  std::uint64_t device_bytes = 0;
  // The largest that it may be given later, which takes address space; 0 is device_bytes.
  std::uint64_t device_bytes_max = 0;
  // Bound on pool memory in bytes; 0 means none. Rounded up to whole pages, as zram does.
  std::uint64_t mem_limit_bytes = 0;
  // Codec of written pages.
  std::string codec = "lz4";
  // Codec that recompress() tries; none where it is empty. With the option block=16384 it tries
  // four neighbouring pages together.
  std::string recompress = "";
  // Block device or file for writeback, whose contents are lost; none where it is empty.
  std::string backing = "";
  std::uint64_t backing_bytes = 0;          // what Store::backing_bytes() says of it
  const codec::Kernels* kernels = nullptr;  // required
  // How many sessions will be opened at most.
  unsigned sessions_max = 1;
  // Pool memory that is kept ready for writers, in bytes.
  std::uint64_t reserve_bytes = std::uint64_t{8} << 20;
  // Whether the store's memory is to be locked. It is an error at create() where that is not
  // possible.
  bool lock_memory = false;
  // Whether the background threads are to be marked with PR_SET_IO_FLUSHER.
  bool io_flusher = false;
};

// What recompression is to work on.
struct RecompressRequest {
  bool only_idle = false;         // pages that are marked idle
  bool only_huge = false;         // incompressible pages, stored raw
  std::uint64_t bytes_min = 0;    // pages of which at least so many bytes are stored
  std::uint64_t pages_max = 0;    // so many are tried at most; 0 is all
  std::uint64_t first_slot = 0;   // where to begin
  std::uint64_t duration_ns = 0;  // it returns after about so long; 0 is no bound
  // Who compresses instead of the device's second codec, by batches; then no groups are made.
  codec::BatchCompressor* batches = nullptr;
};

// What it came to.
struct RecompressResult {
  std::uint64_t pages_recompressed = 0;  // smaller now
  std::uint64_t pages_kept = 0;          // tried, and no smaller
  std::uint64_t pages_parted = 0;        // of groups that had lost pages, and single now
  std::uint64_t bytes_saved = 0;         // of compressed bytes, but for those
  std::uint64_t next_slot = 0;           // where to go on
  bool done = false;                     // nothing is left to be looked at
  bool no_memory = false;                // it ended since the pool had none
  int error = 0;  // it ended since the batch compressor failed; EBADMSG for a block that is wrong
};

// What writeback is to work on.
struct WritebackRequest {
  bool only_idle = false;               // pages that are marked idle
  bool only_huge = false;               // incompressible pages, stored raw
  bool only_incompressible = false;     // of these, those that no codec of the device makes smaller
  std::uint64_t pages_max = 0;          // so many are tried at most; 0 is all
  std::uint64_t first_slot = 0;         // where to begin
  std::uint64_t end_slot = UINT64_MAX;  // where to end, before it
  std::uint64_t duration_ns = 0;        // it returns after about so long; 0 is no bound
};

enum class WritebackEnd : std::uint8_t {
  kDone,    // nothing is left to be looked at
  kPaused,  // pages_max or duration_ns
  kLimit,   // the writeback limit is used up
  kFull,    // no room on the backing device
  kFailed,  // it could not be written; the pages are as they were
};

// What it came to.
struct WritebackResult {
  std::uint64_t pages_written = 0;
  std::uint64_t blocks_written = 0;  // of 4096 bytes, to the backing device
  std::uint64_t bytes_freed = 0;     // of compressed bytes in memory
  std::uint64_t next_slot = 0;       // where to go on
  WritebackEnd end = WritebackEnd::kDone;
  int error = 0;  // errno of kFailed
};

// One moment's statistics, in zram's terms (Documentation/admin-guide/blockdev/zram.rst). While
// operations run the fields are each recent but not of one instant; at rest they are exact.
struct StoreStats {
  // mm_stat
  std::uint64_t orig_data_size = 0;    // bytes: pages stored * 4096, same-filled ones included
  std::uint64_t compr_data_size = 0;   // bytes of compressed and raw pages, without headers
  std::uint64_t mem_used_total = 0;    // bytes of pool pages that hold objects
  std::uint64_t mem_limit = 0;         // bytes, 0 = none
  std::uint64_t mem_used_max = 0;      // bytes: the peak of mem_used_total
  std::uint64_t same_pages = 0;        // pages
  std::uint64_t pages_compacted = 0;   // pages freed by compaction
  std::uint64_t huge_pages = 0;        // incompressible pages stored raw
  std::uint64_t huge_pages_since = 0;  // all those ever stored
  // io_stat; invalid requests are the device's to count
  std::uint64_t failed_reads = 0;
  std::uint64_t failed_writes = 0;
  std::uint64_t notify_free = 0;
  // bd_stat
  std::uint64_t backing_used = 0;    // blocks of 4096 bytes that hold pages (bd_count)
  std::uint64_t backing_reads = 0;   // blocks (bd_reads)
  std::uint64_t backing_writes = 0;  // blocks (bd_writes)
  // Ours
  std::uint64_t backing_bytes = 0;       // size of the backing device; 0 = none
  std::uint64_t backing_failures = 0;    // reads and writes that the backing device has failed
  std::uint64_t pages_written_back = 0;  // of orig_data_size, on the backing device now
  std::optional<std::uint64_t> writeback_limit;  // bytes that may still be written back
  std::uint64_t corrupt_pages = 0;               // reads that failed their check
  std::uint64_t no_reserve_writes = 0;   // of failed_writes, those that found no memory ready
  std::uint64_t over_limit_writes = 0;   // of failed_writes, those that mem_limit kept out
  std::uint64_t pages_recompressed = 0;  // made smaller by recompression
  std::uint64_t recompress_saved = 0;    // compressed bytes that it has saved
  std::uint64_t pages_grouped = 0;       // compressed with their neighbours now
  std::uint64_t device_bytes = 0;        // size of the device
  std::uint64_t device_bytes_max = 0;    // the largest that it can be given
  std::uint64_t slot_table_bytes = 0;    // 8 bytes a page of the device
  std::uint64_t metadata_bytes = 0;      // object and span headers, page map, bitmaps: in use now
  std::uint64_t reserve_bytes = 0;       // pool memory that is ready and holds nothing
};

class Store {
 public:
  // Makes the memory and starts the background threads; on return the first reserve is ready.
  // Errors: EINVAL (a bad size, a bad codec), ENOMEM, EPERM (memory cannot be locked).
  static Result<std::unique_ptr<Store>> create(const StoreOptions& options);

  // The same in three steps, so that the memory can outlive the process that serves it.
  //
  // Address space for a store with these options. It lasts until Memory::remove().
  static Result<Memory> make_memory(const StoreOptions& options);
  // The size of a backing device: EBUSY and others where it cannot be one.
  static Result<std::uint64_t> backing_bytes(const std::string& path);
  // Whether memory that was in use can be taken over with these options: EPROTO where it has
  // another layout.
  static Result<void> check_memory(const StoreOptions& options, const Memory& memory);
  // A store that stands by: all that it needs is there, its threads wait, and it has not looked at
  // the memory yet. `options` are those that the memory was made with.
  static Result<std::unique_ptr<Store>> stand_by(const StoreOptions& options, Memory memory);
  // Begins to use the memory, which nobody else uses any more: makes the store in it if it is new,
  // else takes over what a process that ended in whatever way has left there. That takes about
  // 10 ms for a million slots in use, and allocates nothing. EPROTO where the memory has another
  // layout.
  Result<void> begin();
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // What one thread needs to use the store: codec working memory, a scratch page, its counters.
  class Session;
  // ENFILE where sessions_max are open. A session must be gone before its store.
  Result<std::unique_ptr<Session>> open_session();

  // The size of the device in pages.
  std::uint64_t slots() const noexcept;
  std::uint64_t slots_max() const noexcept;
  // Whether the device can be given this size: EINVAL, ERANGE above device_bytes_max, ENOMEM for
  // its slot table, EBUSY where a page beyond it is stored.
  Result<void> check_size(std::uint64_t device_bytes) const;
  // Gives the device another size. On return the slots of a larger one have memory. Precondition of
  // a smaller one: nobody uses the slots beyond its end. Of another thread than begin(): not at
  // once.
  Result<void> resize(std::uint64_t device_bytes);
  // For a stand-by: provides for the size that the device has now, so that begin() does not have
  // to.
  Result<void> follow_size();
  StoreStats stats() const noexcept;
  // Bytes of the store's memory that are there, as the kernel counts them; for statistics.
  std::uint64_t resident_bytes() const;
  // Live changes, as zram's attributes of the same names.
  void set_mem_limit(std::uint64_t bytes) noexcept;
  void reset_mem_used_max() noexcept;
  // Moves stored pages closer together, beyond what is done in the background, and returns how many
  // pages of memory were freed meanwhile. Takes as long as copying what moves does, a few
  // milliseconds a GiB as a rule; operations go on, and reads do not wait for it. Allocates
  // nothing.
  std::uint64_t compact() noexcept;
  // Marks the pages that nobody has read or written for so long as idle, which they are until the
  // next access, and returns how many pages are idle now; those that are same-filled are none. 0 is
  // all pages. Ages are told apart at 1, 12, 144 and 1728 minutes, and a page may be counted as
  // younger than it is; ERANGE above the last. Allocates nothing where it succeeds.
  Result<std::uint64_t> mark_idle(std::uint64_t age_seconds);
  // Makes pages smaller with the second codec, if that saves a size class each, or, where it makes
  // groups, four neighbours together, if that saves more; what it is tried on once is left alone
  // until it is written anew. The work is done by a thread of low priority,
  // without allocation; operations go on, and one that meets a page in work does not wait. It may
  // exceed mem_limit by a span for a moment. EOPNOTSUPP without such a codec, EINVAL for more than
  // a page of bytes_min. By one thread at a time.
  Result<RecompressResult> recompress(const RecompressRequest& request);
  // Moves pages to the backing device as they are, compressed, and frees their memory; a read gets
  // them from there, and leaves them there. By the same thread, and as recompress(). EOPNOTSUPP
  // without a backing device. Not at once with recompress().
  Result<WritebackResult> write_back(const WritebackRequest& request);
  // So many bytes may be written back from now on, rounded down to blocks; no bound where there is
  // none. It lasts as long as the memory does.
  void set_writeback_limit(std::optional<std::uint64_t> bytes) noexcept;
  // For a successor: whether the backing device is to be had. Else pages that are written back
  // cannot be read, and all others can.
  const Result<void>& backing_state() const noexcept;
  bool has_backing() const noexcept;
  // By which sessions read what is written back, for whoever closes descriptors; -1 where there is
  // none. The same for as long as the store lives.
  int backing_descriptor() const noexcept;
  // For a successor, once it serves: keeps others from the backing device, which its last owner may
  // have for a moment after its death.
  void claim_backing() noexcept;
  // Waits until compaction rests, the reserve is at its target and all that another process has
  // left is worked out, at most `timeout_ms` for each; for tests and for statistics that are to be
  // exact. Whether they got there.
  bool settle(unsigned timeout_ms) noexcept;

  class Recompressor;  // store/recompressor.h
  class BackWriter;    // store/back_writer.h
  struct State;        // shared with Session; store.cpp

 private:
  friend struct StoreInspector;  // tests/store: injects corruption
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Precondition of all: slot < Store::slots(). Thread safety: one thread at a time.
class Store::Session {
 public:
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Stores a page. On any status but kOk the slot is as it was and failed_writes is counted.
  StoreStatus write(std::uint64_t slot, const std::byte* page) noexcept;

  // Reads a page; zeros where nothing was written. On kCorrupt the page is zeroed and failed_reads
  // counted.
  StoreStatus read(std::uint64_t slot, std::byte* page) noexcept;

  // Replaces `length` bytes of the slot's page from `offset` on, atomically with respect to other
  // operations on the slot; offset + length <= 4096. Any status of read() and write().
  StoreStatus write_part(std::uint64_t slot, std::size_t offset, const std::byte* bytes,
                         std::size_t length) noexcept;

  // Whether one of `count` pages from `slot` on is on the backing device, which a read waits for;
  // or is being changed there, which a write or discard waits for as well.
  bool waits_for_backing(std::uint64_t slot, std::uint64_t count) const noexcept;
  bool waits_for_part(std::uint64_t slot, std::uint64_t count) const noexcept;

  // Frees `count` slots from `slot` on; each counts as a notify_free, also where it was empty.
  void discard(std::uint64_t slot, std::uint64_t count) noexcept;

 private:
  friend class Store;
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pleat::store
