// SPDX-License-Identifier: MIT OR Apache-2.0
// What dense_relax_avx2.inl defines, for tiers without these vectors.

// Where a match of each length from `first` to `last`, `base` and the length's price more, is
// cheaper than what is known of the position behind it, it becomes the step there. Lengths are
// indices: `costs` and `steps` begin at the position that the match starts at.
PLEAT_INLINE void zstd_relax(const std::uint32_t* prices, std::size_t first, std::size_t last,
                             std::uint32_t base, std::uint32_t offset, std::uint32_t* costs,
                             std::uint32_t* steps) noexcept {
  for (std::size_t length = first; length <= last; ++length) {
    const std::uint32_t cost = base + prices[length];
    const bool is_cheaper = cost < costs[length];
    costs[length] = is_cheaper ? cost : costs[length];
    steps[length] = is_cheaper ? offset << 16 | static_cast<std::uint32_t>(length) : steps[length];
  }
}
