// SPDX-License-Identifier: MIT OR Apache-2.0
// How the compressor of neon.inl finds candidates for each line's reference, and takes the best.

PLEAT_INLINE void line_hash_page(const std::byte* page, LineWorkspace& work,
                                 LineSteps& steps) noexcept {
#pragma GCC unroll 8
  for (std::uint16_t& position : work.positions) position = 8 * kLineHashEmpty;
  const int16x4_t factors = vld1_s16(kLineHashFactors.data());
  // As places in the table of positions, in bytes.
  const auto put_hashes = [](int32x4_t sums, std::uint32_t* to) {
    const uint32x4_t shifted = vshrq_n_u32(vreinterpretq_u32_s32(sums), kLineHashShift - 1);
    vst1q_u32(to, vandq_u32(shifted, vdupq_n_u32(2 * ((1u << kLineHashBits) - 1))));
  };
  static_assert(sizeof(work.positions[0]) == 2 && kLineHashFactors[0] == 0);
  for (std::size_t line = 1; line < kLines; ++line) {
    // The words' quarters, the lowest in the first register.
    const int16x8x4_t quarters =
        vld4q_s16(reinterpret_cast<const std::int16_t*>(page + kLineBytes * line));
    int32x4_t low = vmull_lane_s16(vget_low_s16(quarters.val[1]), factors, 1);
    int32x4_t high = vmull_high_lane_s16(quarters.val[1], factors, 1);
    low = vmlal_lane_s16(low, vget_low_s16(quarters.val[2]), factors, 2);
    high = vmlal_high_lane_s16(high, quarters.val[2], factors, 2);
    low = vmlal_lane_s16(low, vget_low_s16(quarters.val[3]), factors, 3);
    high = vmlal_high_lane_s16(high, quarters.val[3], factors, 3);
    put_hashes(low, steps.hashes[line]);
    put_hashes(high, steps.hashes[line] + 4);
  }
}

// A line, or the reference of one, or a flag for each of its bytes.
struct LineBytes {
  uint8x16_t part[4];
};
PLEAT_INLINE LineBytes line_load_bytes(const std::byte* from) noexcept {
  return {{line_load(from), line_load(from + 16), line_load(from + 32), line_load(from + 48)}};
}

// Flags of bytes, all ones or zeros, on their way to masks of words: the byte's bit in its word's
// mask, with the bits of 4 bytes in one.
PLEAT_INLINE uint8x16_t line_gather(const LineBytes& flags) noexcept {
  const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  return vpaddq_u8(vpaddq_u8(vandq_u8(bits, flags.part[0]), vandq_u8(bits, flags.part[1])),
                   vpaddq_u8(vandq_u8(bits, flags.part[2]), vandq_u8(bits, flags.part[3])));
}
PLEAT_INLINE LineBytes line_equal(const LineBytes& a, const LineBytes& b) noexcept {
  return {{vceqq_u8(a.part[0], b.part[0]), vceqq_u8(a.part[1], b.part[1]),
           vceqq_u8(a.part[2], b.part[2]), vceqq_u8(a.part[3], b.part[3])}};
}

// The bytes of `scored` that a reference has, as 16 sums of -1 for each.
PLEAT_INLINE uint8x16_t line_found(const LineBytes& scored, const std::byte* reference) noexcept {
  const LineBytes same = line_equal(scored, line_load_bytes(reference));
  return vaddq_u8(vaddq_u8(same.part[0], same.part[1]), vaddq_u8(same.part[2], same.part[3]));
}

// Keys of 8 candidates, from the sums of line_found and 8 times their `near`: the least is that of
// the most bytes found, and of equal ones that of the nearest.
PLEAT_INLINE int16x8_t line_keys(const uint8x16_t* found, uint16x8_t near) noexcept {
  const uint8x16_t first = vpaddq_u8(vpaddq_u8(found[0], found[1]), vpaddq_u8(found[2], found[3]));
  const uint8x16_t second = vpaddq_u8(vpaddq_u8(found[4], found[5]), vpaddq_u8(found[6], found[7]));
  const int16x8_t sums = vpaddlq_s8(vreinterpretq_s8_u8(vpaddq_u8(first, second)));
  return vmlaq_n_s16(vreinterpretq_s16_u16(vshrq_n_u16(near, 3)), sums, 1 << kLineDistanceBits);
}

// What line_choose knows of each candidate without the page: those that probes find, and behind
// them the two lines before. Where there are more than 8, the latter are a second set.
template <unsigned kProbes>
struct LineCandidates {
  static constexpr std::size_t kCount = std::popcount(kProbes);
  static constexpr bool kOneSet = kCount + 2 <= 8;
  struct Sets {
    // For line 2: where the word is less a line, from which the bytes to where it was found are
    // taken to get 8 times its `near`; or that.
    alignas(16) std::array<std::uint16_t, 8> near;
    alignas(16) std::array<std::uint16_t, 8> step;          // what a line adds to it
    alignas(16) std::array<std::uint16_t, 8> lines_before;  // of a second set
  };
  static constexpr Sets kSets = [] {
    Sets sets{};
    std::size_t count = 0;
    for (std::uint16_t word = 0; word < kLineWords; ++word) {
      if ((kProbes >> word & 1) == 0) continue;
      sets.step[count] = kLineBytes;
      sets.near[count++] = static_cast<std::uint16_t>(kLineBytes + 8 * word);
    }
    (kOneSet ? sets.near[(kCount + 1) % 8] : sets.lines_before[1]) += kLineBytes;
    return sets;
  }();
};

// The walk of walk.inl for a line: where its words were found, in bytes from the page's start.
template <unsigned kProbes>
PLEAT_INLINE void line_walk(LineWorkspace& work, const LineSteps& steps, std::size_t line,
                            std::uint64_t* found) noexcept {
  auto* const positions = reinterpret_cast<std::byte*>(work.positions);
  const std::size_t before = kLineBytes * (line - 1);
#pragma GCC unroll 8
  for (std::size_t word = 0; word < kLineWords; ++word) {
    put(positions + steps.hashes[line - 1][word], static_cast<std::uint16_t>(before + 8 * word));
    if ((kProbes >> word & 1) != 0) *found++ = load_u16(positions + steps.hashes[line][word]);
  }
}

// The choice among what each line's walk finds.
template <unsigned kProbes>
PLEAT_INLINE void line_choose(const std::byte* page, LineWorkspace& work,
                              LineSteps& steps) noexcept {
  using Candidates = LineCandidates<kProbes>;
  constexpr std::size_t kCount = Candidates::kCount;
  const uint8x16_t stand_in = vdupq_n_u8(kLineScoreZero);
  const uint16x8_t step = vld1q_u16(Candidates::kSets.step.data());
  uint16x8_t at_word = vld1q_u16(Candidates::kSets.near.data());

  for (std::size_t line = 2; line < kLines; ++line) {
    std::uint64_t position[kCount];
    line_walk<kProbes>(work, steps, line, position);
    std::uint64_t positions[2] = {0, 0};
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kCount; ++i) positions[i / 4] |= position[i] << 16 * (i % 4);

    const std::byte* const at = page + kLineBytes * line;
    const LineBytes value = line_load_bytes(at);
    const LineBytes zeros = line_equal(value, LineBytes{});
    // Before the flags go to make `scored`, which is then no copy.
    const uint8x16_t zero = line_gather(zeros);
    LineBytes scored;
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      scored.part[i] = vbslq_u8(zeros.part[i], stand_in, value.part[i]);
    }
    uint8x16_t found[8];
    std::size_t probe = 0;
#pragma GCC unroll 8
    for (std::size_t word = 0; word < kLineWords; ++word) {
      if ((kProbes >> word & 1) == 0) continue;
      found[probe] = line_found(scored, page + position[probe] - 8 * word);
      ++probe;
    }
    const uint8x16_t lines_before[2] = {line_found(scored, at - kLineBytes),
                                        line_found(scored, at - 2 * kLineBytes)};
    if constexpr (Candidates::kOneSet) {
#pragma GCC unroll 8
      for (std::size_t i = kCount; i < 8; ++i) found[i] = lines_before[i == kCount + 1];
    }
    int16x8_t keys = line_keys(found, vsubq_u16(at_word, vcombine_u16(vcreate_u16(positions[0]),
                                                                      vcreate_u16(positions[1]))));
    at_word = vaddq_u16(at_word, step);
    if constexpr (!Candidates::kOneSet) {
      const uint8x16_t others[8] = {lines_before[0], lines_before[1], lines_before[0],
                                    lines_before[0], lines_before[0], lines_before[0],
                                    lines_before[0], lines_before[0]};
      keys = vminq_s16(keys, line_keys(others, vld1q_u16(Candidates::kSets.lines_before.data())));
    }
    const auto best = static_cast<std::uint16_t>(vminvq_s16(keys));
    const std::size_t chosen = best & ((1u << kLineDistanceBits) - 1);
    steps.chosen[line] = static_cast<std::uint16_t>(chosen);
    const LineBytes same = line_equal(value, line_load_bytes(at - kLineBytes - 8 * chosen));
    line_store(steps.masks[line], vpaddq_u8(zero, line_gather(same)));
  }
}
