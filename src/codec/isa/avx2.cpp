// SPDX-License-Identifier: MIT OR Apache-2.0
// The avx2 tier: AVX2, BMI1, BMI2 and POPCNT, which Intel and AMD cores have had together since
// 2013 and 2015.
#include <immintrin.h>

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

// No header may be included from here on: what it defines inline would be compiled for this tier,
// and the linker may hand that copy to callers on lesser processors.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,popcnt")
#endif

namespace pleat::codec {
namespace {

using Vec = __m256i;

PLEAT_INLINE Vec vec_load(const std::byte* from) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
PLEAT_INLINE void vec_store(std::byte* to, Vec value) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
}
PLEAT_INLINE Vec vec_splat_u64(std::uint64_t word) noexcept {
  return _mm256_set1_epi64x(static_cast<long long>(word));
}
PLEAT_INLINE Vec vec_xor(Vec a, Vec b) noexcept { return _mm256_xor_si256(a, b); }
PLEAT_INLINE Vec vec_or(Vec a, Vec b) noexcept { return _mm256_or_si256(a, b); }
PLEAT_INLINE bool vec_is_zero(Vec value) noexcept { return _mm256_testz_si256(value, value) != 0; }

using Block = __m128i;

PLEAT_INLINE Block block_load(const std::byte* from) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
PLEAT_INLINE void block_store(std::byte* to, Block value) noexcept {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
}
PLEAT_INLINE Block block_repeat(const std::byte* from, std::size_t period) noexcept {
  return _mm_shuffle_epi8(block_load(from),
                          block_load(reinterpret_cast<const std::byte*>(kRepeat16.index[period])));
}
PLEAT_INLINE std::size_t block_repeat_step(std::size_t period) noexcept {
  return kRepeat16.step[period];
}

#include "codec/line/avx2.inl"
#include "codec/lz4/block.inl"
#include "codec/lz4/copy_match.inl"
#include "codec/lz4/decompress.inl"
#include "codec/lz4/hc_candidate.inl"

#include "codec/lz4/hc_base_avx2.inl"
#include "codec/lz4/hc_find.inl"
#include "codec/lz4/hc_parse.inl"
#include "codec/scan/same_filled.inl"
#include "codec/zstd/dense_relax_avx2.inl"
#include "codec/zstd/repeats_avx2.inl"

#include "codec/zstd/read_block.inl"
#include "codec/zstd/write_block.inl"
#include "codec/zstd/write_canned.inl"

}  // namespace

std::size_t lz4hc_compress_avx2(const std::byte* page, std::byte* dst, std::size_t capacity,
                                Lz4HcWorkspace& workspace) noexcept {
  return lz4hc_compress(page, dst, capacity, workspace);
}

bool lz4_decompress_avx2(const std::byte* src, std::size_t size, std::byte* page) noexcept {
  return lz4_decompress(src, size, page);
}

std::size_t lz4hc_compress_group_avx2(const std::byte* group, std::byte* dst, std::size_t capacity,
                                      Lz4HcGroupWorkspace& workspace) noexcept {
  return lz4hc_compress_group(group, dst, capacity, workspace);
}

bool lz4_decompress_group_avx2(const std::byte* src, std::size_t size, std::byte* group,
                               std::size_t pages) noexcept {
  return lz4_decompress_group(src, size, group, pages);
}

std::size_t zstd_compress_avx2(const std::byte* page, std::byte* dst, std::size_t capacity,
                               unsigned level, ZstdEncoder& encoder) noexcept {
  return zstd_compress(page, dst, capacity, level, encoder);
}

std::size_t zstd_compress_group_avx2(const std::byte* group, std::byte* dst, std::size_t capacity,
                                     unsigned level, ZstdGroupEncoder& encoder) noexcept {
  return zstd_compress_group(group, dst, capacity, level, encoder);
}

std::size_t zstd_compress_dense_avx2(const std::byte* page, std::byte* dst, std::size_t capacity,
                                     unsigned level, ZstdDenseEncoder& encoder) noexcept {
  return zstd_compress_dense(page, dst, capacity, level, encoder);
}

std::size_t zstd_compress_dense_group_avx2(const std::byte* group, std::byte* dst,
                                           std::size_t capacity, unsigned level,
                                           ZstdDenseGroupEncoder& encoder) noexcept {
  return zstd_compress_dense_group(group, dst, capacity, level, encoder);
}

bool zstd_decompress_block_avx2(ZstdDecoder& decoder, const std::byte* src, std::size_t size,
                                ZstdOutput& output) noexcept {
  return zstd_decompress_block(decoder, src, size, output);
}

std::size_t zstd_compress_canned_avx2(const std::byte* page, std::byte* dst, std::size_t capacity,
                                      ZstdTables tables, const ZstdCannedTables& canned,
                                      ZstdEncoder& encoder) noexcept {
  return zstd_compress_canned(page, dst, capacity, tables, canned, encoder);
}

}  // namespace pleat::codec

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace pleat::codec {

const Kernels kAvx2Kernels = {"avx2",
                              same_filled,
                              fill,
                              lz4_compress_scalar,
                              lz4hc_compress_avx2,
                              lz4_decompress_avx2,
                              lz4_compress_group_scalar,
                              lz4hc_compress_group_avx2,
                              lz4_decompress_group_avx2,
                              line_compress,
                              line_decompress,
                              zstd_compress_avx2,
                              zstd_compress_group_avx2,
                              zstd_compress_dense_avx2,
                              zstd_compress_dense_group_avx2,
                              zstd_compress_canned_avx2,
                              zstd_decompress_block_avx2};

}  // namespace pleat::codec
