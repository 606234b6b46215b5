// SPDX-License-Identifier: MIT OR Apache-2.0
// The avx512 tier: AVX-512 F, BW, VL, DQ, VBMI, VBMI2 and VPOPCNTDQ, on top of what the avx2 tier
// needs; Intel cores have had these together since 2019, AMD's since 2022. A kernel that needs more
// adds it here and in cpu_features.cpp.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/page.h"
#include "base/prefetch.h"
#include "codec/isa/tables.h"
#include "codec/line/line_format.h"

// No header may be included from here on: what it defines inline would be compiled for this tier,
// and the linker may hand that copy to callers on lesser processors.
#if defined(__clang__)
#define PLEAT_AVX512 \
  "avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx512vpopcntdq"
#pragma clang attribute push(__attribute__((target(PLEAT_AVX512))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx2,bmi,bmi2,popcnt,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx512vpopcntdq")
#endif

namespace pleat::codec {
namespace {

using Vec = __m512i;

PLEAT_INLINE Vec vec_load(const std::byte* from) noexcept { return _mm512_loadu_si512(from); }
PLEAT_INLINE void vec_store(std::byte* to, Vec value) noexcept { _mm512_storeu_si512(to, value); }
PLEAT_INLINE Vec vec_splat_u64(std::uint64_t word) noexcept {
  return _mm512_set1_epi64(static_cast<long long>(word));
}
PLEAT_INLINE Vec vec_xor(Vec a, Vec b) noexcept { return _mm512_xor_si512(a, b); }
PLEAT_INLINE Vec vec_or(Vec a, Vec b) noexcept { return _mm512_or_si512(a, b); }
PLEAT_INLINE bool vec_is_zero(Vec value) noexcept {
  return _mm512_test_epi64_mask(value, value) == 0;
}

#include "codec/line/avx512.inl"
#include "codec/scan/same_filled.inl"

}  // namespace
}  // namespace pleat::codec

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace pleat::codec {

// LZ4 and zstd gain nothing more from this tier than from avx2 (include lz4/*.inl here as avx2.cpp
// does and run `pleat bench codec --isa avx2` and `--isa avx512` to measure it again). Vectors of
// 64 bytes pay where a whole page is swept.
const Kernels kAvx512Kernels = {"avx512",
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
