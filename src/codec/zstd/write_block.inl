// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages and groups as blocks of the zstd format, included by isa/*.cpp inside their target region
// after read_tables.inl and lz4/block.inl. The parts use each other in this order.
#include "codec/zstd/write_bits.inl"

#include "codec/zstd/write_tables.inl"

#include "codec/zstd/find_fast.inl"
#include "codec/zstd/write_literals.inl"
#include "codec/zstd/write_sequences.inl"

template <typename Encoder>
PLEAT_INLINE std::size_t zstd_write_block(const std::byte* content, std::byte* dst,
                                          std::size_t capacity, unsigned level,
                                          Encoder& encoder) noexcept {
  const ZstdFound found = zstd_find_fast(content, encoder);
  std::byte* at =
      level == 1
          ? zstd_write_plain(ZstdLiterals::kRaw, encoder.literals, found.literals, encoder.block)
          : zstd_write_literals<Encoder>(encoder.literals, found.literals, nullptr, encoder.block);
  if (static_cast<std::size_t>(at - encoder.block) >= Encoder::kBytes) return 0;
  at = zstd_write_sequences(encoder, found.sequences, nullptr, 0, at);
  const auto size = static_cast<std::size_t>(at - encoder.block);
  if (size > capacity || size >= Encoder::kBytes) return 0;
  std::memcpy(dst, encoder.block, size);
  return size;
}

std::size_t zstd_compress(const std::byte* page, std::byte* dst, std::size_t capacity,
                          unsigned level, ZstdEncoder& encoder) noexcept {
  return zstd_write_block(page, dst, capacity, level, encoder);
}

std::size_t zstd_compress_group(const std::byte* group, std::byte* dst, std::size_t capacity,
                                ZstdGroupEncoder& encoder) noexcept {
  return zstd_write_block(group, dst, capacity, kZstdLevels, encoder);
}
