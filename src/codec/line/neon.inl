// SPDX-License-Identifier: MIT OR Apache-2.0
// The line format with two words a register: NEON, and tables (shuffle_tables.h) in place of the
// instructions that compress and expand. A register holds the masks of 16 words; what addresses
// memory is put down as words of 32 bits, of which one load takes two to general registers. No
// branch depends on the data but those that end a block.

PLEAT_INLINE uint8x16_t line_load(const void* from) noexcept {
  return vld1q_u8(static_cast<const std::uint8_t*>(from));
}
PLEAT_INLINE void line_store(void* to, uint8x16_t value) noexcept {
  vst1q_u8(static_cast<std::uint8_t*>(to), value);
}

// Of each 4 bytes, the sums of the bytes up to each. A product adds a byte to all above it.
PLEAT_INLINE uint8x16_t line_running_sums(uint8x16_t bytes) noexcept {
  return vreinterpretq_u8_u32(vmulq_n_u32(vreinterpretq_u32_u8(bytes), 0x01010101));
}
// The same of bytes that are all ones or zeros, counted: these are 255 times a count, so that the
// factor is divided by 255 in the integers modulo 2^32.
PLEAT_INLINE uint8x16_t line_running_counts(uint8x16_t flags) noexcept {
  constexpr std::uint32_t kFactor = 0xFBFCFDFF;
  static_assert(255 * kFactor == 0x01010101);
  return vreinterpretq_u8_u32(vmulq_n_u32(vreinterpretq_u32_u8(flags), kFactor));
}

#include "codec/line/neon_compress.inl"
#include "codec/line/neon_decompress.inl"

#include "codec/line/levels.inl"
