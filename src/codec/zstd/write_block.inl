// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages and groups as blocks of the zstd format, included by isa/*.cpp inside their target region
// after read_tables.inl, lz4/block.inl and dense_relax_*.inl. The parts use each other in this
// order.
#include "codec/zstd/write_bits.inl"

#include "codec/zstd/write_tables.inl"

#include "codec/zstd/tell.inl"

#include "codec/zstd/find_fast.inl"
#include "codec/zstd/find_lazy.inl"
#include "codec/zstd/write_literals.inl"
#include "codec/zstd/write_sequences.inl"

// Writes what was found to encoder.block, literals with a code that saves `gain` 64ths of them, or
// always as they are where that is all of them; the block's size, or 0 where that is no less than
// the content's.
template <typename Encoder>
PLEAT_INLINE std::size_t zstd_write_found(const ZstdFound& found, std::size_t gain,
                                          Encoder& encoder) noexcept {
  std::byte* at =
      gain == 64
          ? zstd_write_plain(ZstdLiterals::kRaw, encoder.literals, found.literals, encoder.block)
          : zstd_write_literals(encoder.literals, found.literals, gain, nullptr, encoder.block);
  if (static_cast<std::size_t>(at - encoder.block) >= Encoder::kBytes) return 0;
  at = zstd_write_sequences(encoder, found.sequences, nullptr, 0, at);
  const auto size = static_cast<std::size_t>(at - encoder.block);
  return size < Encoder::kBytes ? size : 0;
}

template <unsigned kLevel, typename Encoder>
PLEAT_INLINE std::size_t zstd_write_level(const std::byte* content, std::byte* dst,
                                          std::size_t capacity, Encoder& encoder) noexcept {
  const ZstdFound found =
      kLevel == 3 ? zstd_find_lazy(content, encoder) : zstd_find_fast(content, encoder);
  constexpr std::size_t kGain = kLevel == 1 ? 64 : kLevel == 2 ? Encoder::kLiteralGain : 1;
  const std::size_t size = zstd_write_found(found, kGain, encoder);
  if (size > capacity) return 0;
  std::memcpy(dst, encoder.block, size);
  return size;
}

template <typename Encoder>
PLEAT_INLINE std::size_t zstd_write_quick(const std::byte* content, std::byte* dst,
                                          std::size_t capacity, unsigned level,
                                          Encoder& encoder) noexcept {
  static_assert(kZstdLevels == 3);
  if (level == 1) return zstd_write_level<1>(content, dst, capacity, encoder);
  if (level == 2) return zstd_write_level<2>(content, dst, capacity, encoder);
  return zstd_write_level<3>(content, dst, capacity, encoder);
}

std::size_t zstd_compress(const std::byte* page, std::byte* dst, std::size_t capacity,
                          unsigned level, ZstdEncoder& encoder) noexcept {
  return zstd_write_quick(page, dst, capacity, level, encoder);
}

std::size_t zstd_compress_group(const std::byte* group, std::byte* dst, std::size_t capacity,
                                unsigned level, ZstdGroupEncoder& encoder) noexcept {
  return zstd_write_quick(group, dst, capacity, level, encoder);
}

#include "codec/zstd/dense_search.inl"

#include "codec/zstd/dense_prices.inl"

#include "codec/zstd/dense_parse.inl"
