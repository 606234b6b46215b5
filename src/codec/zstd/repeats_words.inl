// SPDX-License-Identifier: MIT OR Apache-2.0
// What the loop of zstd's sequences has of a tier: low bits, and the three last offsets. Here
// without vectors. Included by isa/*.cpp inside their target region.

constexpr auto kZstdLowMasks = [] {
  std::array<std::uint64_t, 33> masks = {};
  for (unsigned count = 0; count < masks.size(); ++count) {
    masks[count] = (std::uint64_t{1} << count) - 1;
  }
  return masks;
}();

// The lowest `count` bits of a word, up to 32.
PLEAT_INLINE std::uint64_t zstd_low(std::uint64_t word, unsigned count) noexcept {
  return word & kZstdLowMasks[count];
}

struct ZstdRepeats {
  std::uint32_t first;
  std::uint32_t second;
  std::uint32_t third;

  PLEAT_INLINE static ZstdRepeats from(const std::array<std::uint32_t, 3>& offsets) noexcept {
    return {offsets[0], offsets[1], offsets[2]};
  }
  PLEAT_INLINE std::array<std::uint32_t, 3> offsets() const noexcept {
    return {first, second, third};
  }

  // The offset that a sequence's value stands for, which becomes the first one. Values up to 3 are
  // one of the last offsets: one further, without literals before. Which it is nobody can foresee,
  // so that masks choose, of which no compiler makes branches.
  PLEAT_INLINE std::uint32_t take(std::uint64_t value, bool has_literals) noexcept {
    const auto which = static_cast<std::int64_t>(value - has_literals);
    const auto below = [which](std::int64_t limit) {
      return static_cast<std::uint32_t>((which - limit) >> 63);
    };
    const std::uint32_t if_first = (first ^ second) & below(1);
    const std::uint32_t if_second = (second ^ third) & below(2);
    auto offset = static_cast<std::uint32_t>(value - 3);
    if (value == 3) [[unlikely]]
      offset = first - 1;
    offset ^= (offset ^ third ^ if_second ^ if_first) & below(3);
    third = second ^ if_second;
    second = first ^ if_first;
    first = offset;
    return offset;
  }
};
