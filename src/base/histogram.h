// SPDX-License-Identifier: MIT OR Apache-2.0
// Latencies counted in buckets whose width is at most an eighth of their value, from 0 to 2^40:
// fixed memory, two stores a sample.
//
// Thread safety: one thread records; any thread may read, and sees a recent count in each bucket.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pleat {

class Histogram {
 public:
  // A power of two is split in 8 buckets; values below 8 have a bucket each.
  static constexpr unsigned kSubBits = 3;
  static constexpr unsigned kValueBits = 40;
  static constexpr std::size_t kBuckets = (kValueBits - kSubBits + 1) << kSubBits;

  // Counts `value`; one above 2^40 - 1 counts as that.
  void record(std::uint64_t value) noexcept {
    std::atomic<std::uint64_t>& bucket = counts_[bucket_of(value)];
    bucket.store(bucket.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    total_.store(total() + value, std::memory_order_relaxed);
  }

  std::uint64_t count() const noexcept;
  // The sum of all values.
  std::uint64_t total() const noexcept { return total_.load(std::memory_order_relaxed); }
  // The samples in one of the kBuckets.
  std::uint64_t count_in(std::size_t bucket) const noexcept {
    return counts_[bucket].load(std::memory_order_relaxed);
  }
  // Adds the counts of `other` to this one, which nobody else may be writing.
  void add(const Histogram& other) noexcept;
  // The upper end of the bucket in which the sample of rank ceil(fraction * count) lies; 0 when
  // empty. fraction is in (0, 1].
  std::uint64_t quantile(double fraction) const noexcept;

  static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    constexpr std::uint64_t kLargest = (std::uint64_t{1} << kValueBits) - 1;
    if (value > kLargest) value = kLargest;
    if (value < (1u << kSubBits)) return static_cast<std::size_t>(value);
    const unsigned exponent = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    return (static_cast<std::size_t>(exponent) << kSubBits) +
           static_cast<std::size_t>(value >> exponent);
  }
  // The largest value that falls in `bucket`.
  static constexpr std::uint64_t bucket_end(std::size_t bucket) noexcept {
    if (bucket < (2u << kSubBits)) return bucket;
    const std::size_t exponent = (bucket >> kSubBits) - 1;
    const std::uint64_t mantissa = (bucket & ((1u << kSubBits) - 1)) + (1u << kSubBits);
    return ((mantissa + 1) << exponent) - 1;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kBuckets> counts_{};
  std::atomic<std::uint64_t> total_{0};
};

}  // namespace pleat
