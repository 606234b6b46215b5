// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/reserve.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "base/clock.h"
#include "base/units.h"
#include "store/background_thread.h"
#include "store/futex.h"

namespace pleat::store {
namespace {

constexpr std::uint64_t kMapEntriesPerPage = kPageSize / sizeof(std::uint16_t);
constexpr std::uint64_t kRegionsPerPage = kPageSize / sizeof(RegionWords);
static_assert(kMapEntriesPerPage % kRegionPages == 0);
// What another process has left is worked out a little at a time, so that it keeps neither requests
// nor a take-over from the processor: some .1 ms where no object is in the cache, then rest.
constexpr std::uint64_t kSlotsLearnt = 512;
constexpr std::uint64_t kRestFactor = 4;
constexpr std::uint64_t kShortestRestNs = 500'000;
// Between the moment when there is enough to give back and that, as often as so many pages were
// freed meanwhile: they go in larger pieces then, and who frees them is not disturbed by that.
constexpr std::uint64_t kTrimPause_ns = 20'000'000;
constexpr int kTrimPausesMax = 10;
constexpr std::uint64_t kPagesFreed = 1024;

void nap(long duration_ns) {
  const timespec duration{0, duration_ns};
  nanosleep(&duration, nullptr);
}

}  // namespace

Reserve::Reserve(Memory& memory, const Layout& layout, PageAllocator& pages, Pool& pool,
                 Doorbell& bell)
    : memory_(memory),
      layout_(layout),
      pages_(pages),
      pool_(pool),
      bell_(bell),
      map_pages_((layout.pool_pages + kMapEntriesPerPage - 1) / kMapEntriesPerPage),
      region_pages_((layout.regions() + kRegionsPerPage - 1) / kRegionsPerPage) {}

Reserve::~Reserve() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  bell_.ring();
  thread_.join();
}

Result<void> Reserve::fill_first() {
  if (const int code = fill(); code != 0) {
    return errno_error(code,
                       "cannot get memory for the store's first reserve; free some memory "
                       "or ask for a smaller reserve");
  }
  return {};
}

Result<void> Reserve::find_metadata() {
  if (!memory_.find_present(layout_.page_map_offset, map_pages_) ||
      !memory_.find_present(layout_.region_words_offset, region_pages_)) {
    return errno_error("cannot find out which pages of the store's memory are there");
  }
  const auto pages = std::count(map_pages_.begin(), map_pages_.end(), true) +
                     std::count(region_pages_.begin(), region_pages_.end(), true);
  metadata_bytes_.store(static_cast<std::uint64_t>(pages) * kPageSize, std::memory_order_relaxed);
  return {};
}

void Reserve::visit_regions(const std::function<void(std::uint64_t region)>& visit) const {
  for (std::uint64_t region = 0; region < layout_.regions(); ++region) {
    if (region_pages_[region / kRegionsPerPage]) visit(region);
  }
}

Result<void> Reserve::start(bool io_flusher) {
  auto started = start_background_thread("pleat-reserve", io_flusher, [this] { run(); });
  if (!started) return std::move(started).error();
  thread_ = *std::move(started);
  return {};
}

bool Reserve::settle(unsigned timeout_ms) noexcept {
  const std::uint64_t end_ns = monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  while (true) {
    const std::uint64_t mine = asked_.fetch_add(1, std::memory_order_acq_rel) + 1;
    bell_.ring();
    while (answered_.load(std::memory_order_acquire) < mine) {
      if (monotonic_ns() >= end_ns) return false;
      nap(200'000);
    }
    if (reached_.load(std::memory_order_acquire)) return true;
    if (monotonic_ns() >= end_ns) return false;
  }
}

void Reserve::run() noexcept {
  constexpr long kFirstPause_ns = 5'000'000;
  constexpr long kLongestPause_ns = 160'000'000;
  long pause_ns = kFirstPause_ns;
  std::uint64_t rest_ns = 0;  // until the next spans are worked out; 0 = there are none
  while (true) {
    if (rest_ns != 0) {
      bell_.wait_for(rest_ns);
    } else {
      bell_.wait();
    }
    if (stop_.load(std::memory_order_acquire)) return;
    const std::uint64_t asked = asked_.load(std::memory_order_acquire);
    const bool exact = asked != answered_.load(std::memory_order_relaxed);
    const int failure = fill();
    stalled_.store(failure != 0, std::memory_order_release);
    announce();
    trim(!exact);
    if (exact) {
      while (pool_.learn_spans(kSlotsLearnt)) {
      }
      reached_.store(failure == 0, std::memory_order_release);
      answered_.store(asked, std::memory_order_release);
    }
    rest_ns = learn();
    if (failure == 0) {
      pause_ns = kFirstPause_ns;
    } else {
      // The system has no memory for us, or the pool's address space is used up. Writers ring at
      // each write that fails for it; trying each time would only burn the processor.
      nap(pause_ns);
      pause_ns = std::min(2 * pause_ns, kLongestPause_ns);
      bell_.ring();
    }
  }
}

std::uint64_t Reserve::learn() noexcept {
  const std::uint64_t begin_ns = monotonic_ns();
  if (!pool_.learn_spans(kSlotsLearnt)) return 0;
  return std::max(kShortestRestNs, kRestFactor * (monotonic_ns() - begin_ns));
}

int Reserve::fill() noexcept {
  while (pages_.wants_growth()) {
    if (stop_.load(std::memory_order_relaxed)) return 0;
    const auto region = pages_.region_to_grow();
    if (!region) return ENOSPC;
    if (const int code = populate_metadata(*region); code != 0) return code;
    const PageRun run = pages_.absent_run(*region);
    const int code =
        memory_.populate(layout_.pool_offset + run.first * kPageSize, run.count * kPageSize);
    if (code != 0) return code;
    pages_.add_ready(run);
    stalled_.store(false, std::memory_order_release);
    announce();
  }
  return 0;
}

void Reserve::announce() noexcept {
  growth_.fetch_add(1, std::memory_order_seq_cst);
  if (waiters_.load(std::memory_order_seq_cst) != 0) futex_wake(growth_, kFutexAll);
}

bool Reserve::await_growth(std::uint32_t seen, std::uint64_t deadline_ns) noexcept {
  if (monotonic_ns() >= deadline_ns) return false;
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  while (growth() == seen && !stalled_.load(std::memory_order_acquire)) {
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) {
      stalled_.store(true, std::memory_order_release);
      break;
    }
    futex_wait(growth_, seen, deadline_ns - now_ns);
  }
  waiters_.fetch_sub(1, std::memory_order_relaxed);
  return !stalled_.load(std::memory_order_acquire);
}

bool Reserve::wait_for_more_surplus() noexcept {
  for (int pause = 0; pause < kTrimPausesMax; ++pause) {
    const std::uint64_t used = pages_.used_pages();
    if (bell_.wait_for(kTrimPause_ns)) {
      bell_.ring();
      return false;
    }
    if (used - std::min(used, pages_.used_pages()) < kPagesFreed) break;
  }
  return true;
}

void Reserve::trim(bool lazy) noexcept {
  // Whether there is enough to be worth it; once begun it goes down to the target.
  if (lazy) {
    if (!pages_.has_surplus()) return;
    if (!stalled_.load(std::memory_order_relaxed) && !wait_for_more_surplus()) return;
  }
  while (const auto run = pages_.claim_surplus()) {
    // A failure leaves the memory with the store; the pages count as absent and are found there
    // when they are populated again.
    (void)memory_.give_back(layout_.pool_offset + run->first * kPageSize, run->count * kPageSize);
    if (stop_.load(std::memory_order_relaxed)) return;
    if (!lazy || waiters_.load(std::memory_order_relaxed) == 0) continue;
    // First what they wait for.
    bell_.ring();
    return;
  }
}

int Reserve::populate_metadata(std::uint64_t region) noexcept {
  const std::uint64_t map_page = region * kRegionPages / kMapEntriesPerPage;
  if (const int code = populate_once(map_pages_, map_page, layout_.page_map_offset); code != 0) {
    return code;
  }
  return populate_once(region_pages_, region / kRegionsPerPage, layout_.region_words_offset);
}

int Reserve::populate_once(std::vector<bool>& done, std::uint64_t page,
                           std::uint64_t offset) noexcept {
  if (done[page]) return 0;
  const int code = memory_.populate(offset + page * kPageSize, kPageSize);
  if (code != 0) return code;
  done[page] = true;
  metadata_bytes_.fetch_add(kPageSize, std::memory_order_relaxed);
  return 0;
}

}  // namespace pleat::store
