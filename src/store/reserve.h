// SPDX-License-Identifier: MIT OR Apache-2.0
// The reserve: a thread that keeps pool memory ready ahead of the writers and gives back what is
// too much, so that neither ever happens on the I/O path.
//
// A writer that finds no page ready waits for the thread as long as the thread may only have lacked
// the processor. The kernel may keep the thread waiting for memory, and may have none: then the
// reserve is stalled, writers fail at once, and the thread tries again. The thread does not wait
// for the writer in turn: as an I/O flusher it never gets memory by writing to the device that the
// store is behind; and where it could not be marked as one, the writer's wait ends all the same.
//
// Thread safety: settle() and the functions for writers from any thread; start() and the destructor
// once. The thread itself is the only one that populates and gives back.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "store/doorbell.h"
#include "store/layout.h"
#include "store/memory.h"
#include "store/page_allocator.h"
#include "store/pool.h"

namespace pleat::store {

class Reserve {
 public:
  Reserve(Memory& memory, const Layout& layout, PageAllocator& pages, Pool& pool, Doorbell& bell);
  ~Reserve();
  Reserve(const Reserve&) = delete;
  Reserve& operator=(const Reserve&) = delete;

  // Starts the thread, which waits for the bell. EPERM where `io_flusher` cannot be set.
  Result<void> start(bool io_flusher);
  // Fills the reserve for the first time. ENOMEM.
  Result<void> fill_first();
  // For memory that another process has used: finds out which pages of page map and region words
  // are there. Allocates nothing.
  Result<void> find_metadata();
  // Calls `visit` with each region that has its words.
  void visit_regions(const std::function<void(std::uint64_t region)>& visit) const;

  // Waits, at most `timeout_ms`, until the thread has brought the number of ready pages to the
  // target; whether it got there.
  bool settle(unsigned timeout_ms) noexcept;

  // For a writer, before it looks for a page: what await_growth() takes.
  std::uint32_t growth() const noexcept { return growth_.load(std::memory_order_acquire); }
  // After it found none: waits until pages were added since growth() returned `seen`, and says
  // whether they were. Not where the reserve is stalled, which it is from a failure to get memory,
  // or the end of a wait at `deadline_ns` of monotonic_ns(), until pages are added.
  bool await_growth(std::uint32_t seen, std::uint64_t deadline_ns) noexcept;

  // Bytes of page map and region words that have been populated.
  std::uint64_t metadata_bytes() const noexcept {
    return metadata_bytes_.load(std::memory_order_relaxed);
  }

 private:
  void run() noexcept;
  int fill() noexcept;
  // Works out some of what another process has left; how long to rest before the next, 0 = never.
  std::uint64_t learn() noexcept;
  void announce() noexcept;
  // False where the bell was rung for something else, which comes first.
  bool wait_for_more_surplus() noexcept;
  void trim(bool lazy) noexcept;
  int populate_metadata(std::uint64_t region) noexcept;
  int populate_once(std::vector<bool>& done, std::uint64_t page, std::uint64_t offset) noexcept;

  Memory& memory_;
  const Layout& layout_;
  PageAllocator& pages_;
  Pool& pool_;
  Doorbell& bell_;
  // Which pages of the page map and of the region words are there.
  std::vector<bool> map_pages_;
  std::vector<bool> region_pages_;
  std::atomic<std::uint64_t> metadata_bytes_{0};
  std::atomic<bool> stop_{false};
  // How often pages were added, or were found not to come: a futex. And the latter, until they do.
  std::atomic<std::uint32_t> growth_{0};
  std::atomic<std::uint32_t> waiters_{0};
  std::atomic<bool> stalled_{false};
  // settle(): what was asked for, what was done, and whether that reached the target.
  std::atomic<std::uint64_t> asked_{0};
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<bool> reached_{false};
  std::thread thread_;
};

}  // namespace pleat::store
