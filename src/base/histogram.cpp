// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/histogram.h"

#include <cmath>

namespace pleat {

std::uint64_t Histogram::count() const noexcept {
  std::uint64_t total = 0;
  for (const auto& bucket : counts_) total += bucket.load(std::memory_order_relaxed);
  return total;
}

void Histogram::add(const Histogram& other) noexcept {
  total_.store(total() + other.total(), std::memory_order_relaxed);
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const std::uint64_t more = other.counts_[i].load(std::memory_order_relaxed);
    counts_[i].store(counts_[i].load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }
}

std::uint64_t Histogram::quantile(double fraction) const noexcept {
  const auto rank = static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count())));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i].load(std::memory_order_relaxed);
    if (seen >= rank && seen > 0) return bucket_end(i);
  }
  return 0;
}

}  // namespace pleat
