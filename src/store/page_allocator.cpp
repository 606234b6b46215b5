// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/page_allocator.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <utility>

namespace pleat::store {
namespace {

// The most pages that are given back at once: 4 MiB.
constexpr std::uint64_t kSurplusRunPages = 16 * kRegionPages;

// The bits at which a run of `count` set bits begins.
constexpr std::uint64_t run_starts(std::uint64_t bits, unsigned count) {
  for (unsigned length = 1; length < count;) {
    const unsigned step = std::min(length, count - length);
    bits &= bits >> step;
    length += step;
  }
  return bits;
}
static_assert(run_starts(0b0111'0110, 3) == 0b0001'0000);

// The length of the longest run of set bits, or kSpanPagesMax where it is longer.
constexpr unsigned longest_run(std::uint64_t bits) {
  if (run_starts(bits, kSpanPagesMax) != 0) return kSpanPagesMax;
  unsigned length = 0;
  for (unsigned step = kSpanPagesMax / 2; step != 0; step /= 2) {
    if (run_starts(bits, length + step) != 0) length += step;
  }
  return length;
}
static_assert(longest_run(0) == 0 && longest_run(0b0111'0110) == 3);
static_assert(longest_run(0x7FFF) == 15 && longest_run(~std::uint64_t{0}) == kSpanPagesMax);

constexpr std::uint64_t run_mask(unsigned first, unsigned count) {
  return (count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) << first;
}

}  // namespace

PageAllocator::PageAllocator(std::span<RegionWords> words, std::atomic<std::uint64_t>& used_max,
                             std::uint64_t target_pages, Doorbell& bell)
    : words_(words),
      bell_(bell),
      target_pages_(target_pages),
      low_pages_(target_pages - target_pages / 4),
      high_pages_(target_pages + target_pages / 2 + kRegionPages),
      large_target_(std::max<std::uint64_t>(1, target_pages / kRegionPages / 2)),
      runs_(kSpanPagesMax, BitTree(words.size(), false)),
      longest_(words.size()),
      absent_(words.size(), true),
      growable_(words.size(), true),
      used_max_(used_max) {}

AllocateStatus PageAllocator::allocate(unsigned count, bool limited,
                                       std::uint64_t* first) noexcept {
  const std::lock_guard guard(lock_);
  const std::uint64_t limit = limit_pages_.load(std::memory_order_relaxed);
  const std::uint64_t used = used_.load(std::memory_order_relaxed) + count;
  if (limited && limit != 0 && used > limit) return AllocateStatus::kOverLimit;
  const std::optional<std::uint64_t> region = find_region(count);
  if (!region) {
    bell_.ring();
    return AllocateStatus::kNoReserve;
  }
  RegionWords& words = words_[*region];
  const unsigned bit = static_cast<unsigned>(std::countr_zero(run_starts(words.ready, count)));
  words.ready &= ~run_mask(bit, count);
  update_sets(*region);
  ready_.store(ready() - count, std::memory_order_relaxed);
  used_.store(used, std::memory_order_relaxed);
  if (used > used_max_.load(std::memory_order_relaxed)) {
    used_max_.store(used, std::memory_order_relaxed);
  }
  if (below(low_pages_)) bell_.ring();
  *first = *region * kRegionPages + bit;
  return AllocateStatus::kOk;
}

std::optional<std::uint64_t> PageAllocator::find_region(unsigned count) const noexcept {
  // The shortest runs that will do are used up first, those at the pool's start before others, so
  // that the rest can be given back in large pieces.
  for (unsigned length = count; length <= kSpanPagesMax; ++length) {
    if (const auto region = with_run(length).first()) return region;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> PageAllocator::last_small_region() const noexcept {
  std::optional<std::uint64_t> last;
  for (unsigned length = 1; length < kSpanPagesMax; ++length) {
    last = std::max(last, std::optional<std::uint64_t>(with_run(length).last()));
  }
  return last;
}

void PageAllocator::release(std::uint64_t first, unsigned count) noexcept {
  const std::lock_guard guard(lock_);
  const std::uint64_t region = first / kRegionPages;
  words_[region].ready |= run_mask(static_cast<unsigned>(first % kRegionPages), count);
  update_sets(region);
  used_.store(used_.load(std::memory_order_relaxed) - count, std::memory_order_relaxed);
  ready_.store(ready() + count, std::memory_order_relaxed);
  if (ready() > high_pages_ && !std::exchange(surplus_is_told_, true)) bell_.ring();
}

void PageAllocator::reset_used_max() noexcept {
  const std::lock_guard guard(lock_);
  used_max_.store(used_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

bool PageAllocator::wants_growth() noexcept {
  const std::lock_guard guard(lock_);
  return below(target_pages_);
}

std::optional<std::uint64_t> PageAllocator::region_to_grow() noexcept {
  const std::lock_guard guard(lock_);
  if (const auto region = growable_.first()) return region;
  return absent_.first();
}

PageRun PageAllocator::absent_run(std::uint64_t region) noexcept {
  const std::lock_guard guard(lock_);
  const std::uint64_t absent = ~words_[region].present;
  if (absent == 0) return {};
  const int bit = std::countr_zero(absent);
  return {region * kRegionPages + static_cast<unsigned>(bit),
          static_cast<unsigned>(std::countr_one(absent >> bit))};
}

void PageAllocator::add_ready(PageRun run) noexcept {
  const std::lock_guard guard(lock_);
  const std::uint64_t region = run.first / kRegionPages;
  const std::uint64_t mask =
      run_mask(static_cast<unsigned>(run.first % kRegionPages), static_cast<unsigned>(run.count));
  words_[region].present |= mask;
  words_[region].ready |= mask;
  update_sets(region);
  ready_.store(ready() + run.count, std::memory_order_relaxed);
}

bool PageAllocator::has_surplus() noexcept {
  const std::lock_guard guard(lock_);
  if (ready() > high_pages_) return true;
  surplus_is_told_ = false;
  return false;
}

std::optional<PageRun> PageAllocator::claim_surplus() noexcept {
  const std::lock_guard guard(lock_);
  std::optional<std::uint64_t> found;
  if (ready() > target_pages_) {
    const bool from_large = large_count_ > large_target_;
    found = from_large ? with_run(kSpanPagesMax).last() : last_small_region();
  }
  if (!found) {
    surplus_is_told_ = false;
    return std::nullopt;
  }
  std::uint64_t region = *found;
  const std::uint64_t most = std::min(ready() - target_pages_, kSurplusRunPages);
  // The last run of the region, from its end.
  const std::uint64_t bits = words_[region].ready;
  const unsigned end = 64 - static_cast<unsigned>(std::countl_zero(bits));
  const unsigned length = static_cast<unsigned>(std::countl_one(bits << (64 - end)));
  unsigned count = static_cast<unsigned>(std::min<std::uint64_t>(most, length));
  unsigned first = end - count;
  PageRun run{region * kRegionPages + first, 0};
  while (true) {
    const std::uint64_t mask = run_mask(first, count);
    words_[region].present &= ~mask;
    words_[region].ready &= ~mask;
    update_sets(region);
    run.first = region * kRegionPages + first;
    run.count += count;
    // Whole regions before it go along, for one system call.
    if (first != 0 || region == 0 || run.count + kRegionPages > most) break;
    if (large_count_ <= large_target_ || !with_run(kSpanPagesMax).contains(region - 1)) break;
    if (~words_[region - 1].ready != 0) break;
    --region;
    count = kRegionPages;
  }
  ready_.store(ready() - run.count, std::memory_order_relaxed);
  return run;
}

void PageAllocator::begin_adoption(std::uint64_t region) noexcept {
  words_[region].ready = words_[region].present;
}

bool PageAllocator::adopt(std::uint64_t first, unsigned count) noexcept {
  const auto bit = static_cast<unsigned>(first % kRegionPages);
  if (bit + count > kRegionPages || first / kRegionPages >= words_.size()) return false;
  RegionWords& words = words_[first / kRegionPages];
  const std::uint64_t mask = run_mask(bit, count);
  if ((words.ready & mask) != mask) return false;
  words.ready &= ~mask;
  used_.store(used_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  return true;
}

void PageAllocator::end_adoption(std::uint64_t region) noexcept {
  update_sets(region);
  ready_.store(ready() + static_cast<unsigned>(std::popcount(words_[region].ready)),
               std::memory_order_relaxed);
  used_max_.store(std::max(used_max_.load(std::memory_order_relaxed), used_pages()),
                  std::memory_order_relaxed);
}

std::size_t PageAllocator::index_bytes() const noexcept {
  return runs_.size() * runs_.front().bytes() + longest_.size() + absent_.bytes() +
         growable_.bytes();
}

void PageAllocator::update_sets(std::uint64_t region) noexcept {
  const RegionWords words = words_[region];
  const std::uint64_t absent = ~words.present;
  const unsigned longest = longest_run(words.ready);
  const unsigned before = std::exchange(longest_[region], static_cast<std::uint8_t>(longest));
  if (longest != before) {
    if (before != 0) with_run(before).assign(region, false);
    if (longest != 0) with_run(longest).assign(region, true);
    if (before == kSpanPagesMax) --large_count_;
    if (longest == kSpanPagesMax) ++large_count_;
  }
  absent_.assign(region, absent != 0);
  growable_.assign(region, absent != 0 && run_starts(absent | words.ready, kSpanPagesMax) != 0);
}

}  // namespace pleat::store
