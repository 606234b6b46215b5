// SPDX-License-Identifier: MIT OR Apache-2.0
// Which pages of the pool are there, and which of them are in use. Each page is
//
//   absent --(background thread: absent_run, populate, add_ready)--> ready
//   ready --(writer: allocate)--> used --(writer: release)--> ready
//   ready --(background thread: claim_surplus, give back)--> absent
//
// Writers take ready pages only, so they neither fault memory in nor wait for it. The pages of a
// run lie in one region; regions are found through sets of region numbers, one for each length of
// their longest run, so that a search takes as long in a pool of 1 TiB as in a small one, and
// scattered pages serve whatever they are enough for.
//
// Thread safety: all functions from any thread, except that absent_run(), add_ready() and
// claim_surplus() are one thread's. Nothing is allocated after construction.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "store/bit_tree.h"
#include "store/doorbell.h"
#include "store/layout.h"
#include "store/short_lock.h"

namespace pleat::store {

// A run of pool pages.
struct PageRun {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

enum class [[nodiscard]] AllocateStatus : std::uint8_t{kOk, kOverLimit, kNoReserve};

class PageAllocator {
 public:
  // `words` belong to the store's memory and are touched only for regions that add_ready() was told
  // of. So does `used_max`, the most pages that were in use. `bell` is rung when the number of
  // ready pages leaves the band around `target_pages`, a multiple of kRegionPages.
  PageAllocator(std::span<RegionWords> words, std::atomic<std::uint64_t>& used_max,
                std::uint64_t target_pages, Doorbell& bell);

  // Takes a run of 1 to kSpanPagesMax ready pages. With `limited`, mem_limit is obeyed.
  AllocateStatus allocate(unsigned count, bool limited, std::uint64_t* first) noexcept;
  void release(std::uint64_t first, unsigned count) noexcept;

  // Whether more is in use than the limit, lowered meanwhile, allows.
  bool over_limit() const noexcept {
    const std::uint64_t limit = limit_pages_.load(std::memory_order_relaxed);
    return limit != 0 && used_pages() > limit;
  }
  void set_limit_pages(std::uint64_t pages) noexcept {
    limit_pages_.store(pages, std::memory_order_relaxed);
  }
  std::uint64_t limit_pages() const noexcept {
    return limit_pages_.load(std::memory_order_relaxed);
  }
  std::uint64_t used_pages() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::uint64_t used_pages_max() const noexcept {
    return used_max_.load(std::memory_order_relaxed);
  }
  std::uint64_t ready_pages() const noexcept { return ready_.load(std::memory_order_relaxed); }
  void reset_used_max() noexcept;

  // The background thread's side. Whether fewer pages are ready than the target.
  bool wants_growth() noexcept;
  // The region to populate next, if any has an absent page, and then the run in it. The region's
  // words must have been populated in between.
  std::optional<std::uint64_t> region_to_grow() noexcept;
  PageRun absent_run(std::uint64_t region) noexcept;
  void add_ready(PageRun run) noexcept;
  // Whether so many more pages than the target are ready that it is worth giving them back. The
  // bell is rung for that once, until this says no or nothing is claimed.
  bool has_surplus() noexcept;
  // Makes a run of ready pages absent, to be given back, if there are more than the target.
  std::optional<PageRun> claim_surplus() noexcept;

  // Taking over words that another process has left, before all other functions and by one thread.
  // First begin_adoption() for each region whose words were populated, then adopt() for each run in
  // use, then end_adoption() for the same regions. What is there and not in use is ready.
  void begin_adoption(std::uint64_t region) noexcept;
  // Whether the run is in use from now on; not where a part of it is in use already or not there.
  bool adopt(std::uint64_t first, unsigned count) noexcept;
  void end_adoption(std::uint64_t region) noexcept;

  // Bytes of the sets, which are outside of the store's memory.
  std::size_t index_bytes() const noexcept;

 private:
  void update_sets(std::uint64_t region) noexcept;
  std::optional<std::uint64_t> find_region(unsigned count) const noexcept;
  std::optional<std::uint64_t> last_small_region() const noexcept;
  // The set of regions whose longest ready run, counted up to kSpanPagesMax, has `length` pages.
  BitTree& with_run(unsigned length) noexcept { return runs_[length - 1]; }
  const BitTree& with_run(unsigned length) const noexcept { return runs_[length - 1]; }
  std::uint64_t ready() const noexcept { return ready_.load(std::memory_order_relaxed); }
  bool below(std::uint64_t pages) const noexcept {
    return ready() < pages || large_count_ < large_target_;
  }

  std::span<RegionWords> words_;
  Doorbell& bell_;
  const std::uint64_t target_pages_;
  // Below the first the bell is rung, above the second it is worth giving back.
  const std::uint64_t low_pages_;
  const std::uint64_t high_pages_;
  // How many regions are to have a run of kSpanPagesMax ready pages, so that a span of any size can
  // be allocated although the ready pages may be scattered.
  const std::uint64_t large_target_;

  ShortLock lock_;  // of all below; the atomics are written under it and read without
  std::vector<BitTree> runs_;
  std::vector<std::uint8_t> longest_;  // in which of these each region is, 0 = none
  BitTree absent_;                     // regions with absent pages
  BitTree growable_;  // those that would have a run of kSpanPagesMax if they were populated
  std::uint64_t large_count_ = 0;  // regions with such a run
  bool surplus_is_told_ = false;   // the bell was rung for it, and not all of it was claimed
  std::atomic<std::uint64_t> ready_{0};
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t>& used_max_;
  std::atomic<std::uint64_t> limit_pages_{0};
};

}  // namespace pleat::store
