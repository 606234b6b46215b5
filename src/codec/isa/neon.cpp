// SPDX-License-Identifier: MIT OR Apache-2.0
// The neon tier: Advanced SIMD, which is part of every 64-bit ARM processor, so that no target
// region is needed.
#include <arm_neon.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <iterator>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/page.h"
#include "base/prefetch.h"
#include "codec/isa/tables.h"
#include "codec/line/line_format.h"
#include "codec/line/shuffle_tables.h"
#include "codec/lz4/format.h"
#include "codec/lz4/hc_workspace.h"
#include "codec/lz4/repeat.h"
#include "codec/zstd/canned.h"
#include "codec/zstd/decoder.h"
#include "codec/zstd/dense_encoder.h"
#include "codec/zstd/encoder.h"

namespace pleat::codec {
namespace {

using Vec = uint64x2_t;

PLEAT_INLINE Vec vec_load(const std::byte* from) noexcept {
  return vreinterpretq_u64_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(from)));
}
PLEAT_INLINE void vec_store(std::byte* to, Vec value) noexcept {
  vst1q_u8(reinterpret_cast<std::uint8_t*>(to), vreinterpretq_u8_u64(value));
}
PLEAT_INLINE Vec vec_splat_u64(std::uint64_t word) noexcept { return vdupq_n_u64(word); }
PLEAT_INLINE Vec vec_xor(Vec a, Vec b) noexcept { return veorq_u64(a, b); }
PLEAT_INLINE Vec vec_or(Vec a, Vec b) noexcept { return vorrq_u64(a, b); }
PLEAT_INLINE bool vec_is_zero(Vec value) noexcept {
  return vmaxvq_u32(vreinterpretq_u32_u64(value)) == 0;
}

using Block = uint8x16_t;

PLEAT_INLINE Block block_load(const std::byte* from) noexcept {
  return vld1q_u8(reinterpret_cast<const std::uint8_t*>(from));
}
PLEAT_INLINE void block_store(std::byte* to, Block value) noexcept {
  vst1q_u8(reinterpret_cast<std::uint8_t*>(to), value);
}
PLEAT_INLINE Block block_repeat(const std::byte* from, std::size_t period) noexcept {
  return vqtbl1q_u8(block_load(from), vld1q_u8(kRepeat16.index[period]));
}
PLEAT_INLINE std::size_t block_repeat_step(std::size_t period) noexcept {
  return kRepeat16.step[period];
}

#include "codec/line/neon.inl"
#include "codec/lz4/block.inl"
#include "codec/lz4/copy_match.inl"
#include "codec/lz4/decompress.inl"
#include "codec/lz4/hc_candidate.inl"

#include "codec/lz4/hc_base_words.inl"
#include "codec/lz4/hc_find.inl"
#include "codec/lz4/hc_parse.inl"
#include "codec/scan/same_filled.inl"
#include "codec/zstd/dense_relax_words.inl"
#include "codec/zstd/repeats_words.inl"

#include "codec/zstd/read_block.inl"
#include "codec/zstd/write_block.inl"
#include "codec/zstd/write_canned.inl"

}  // namespace

const Kernels kNeonKernels = {"neon",
                              same_filled,
                              fill,
                              lz4_compress_scalar,
                              lz4hc_compress,
                              lz4_decompress,
                              lz4_compress_group_scalar,
                              lz4hc_compress_group,
                              lz4_decompress_group,
                              line_compress,
                              line_decompress,
                              zstd_compress,
                              zstd_compress_group,
                              zstd_compress_dense,
                              zstd_compress_dense_group,
                              zstd_compress_canned,
                              zstd_decompress_block};

}  // namespace pleat::codec
