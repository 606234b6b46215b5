// SPDX-License-Identifier: MIT OR Apache-2.0
// The avx512 tier: AVX-512 F, BW and VL, on top of what the avx2 tier needs. Intel cores have had
// these since 2017, AMD cores since 2022.
#include <immintrin.h>

#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/page.h"
#include "codec/isa/tables.h"
#include "codec/lz4/format.h"
#include "codec/lz4/repeat.h"

// No header may be included from here on: what it defines inline would be compiled for this tier,
// and the linker may hand that copy to callers on lesser processors.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl")
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

#include "codec/lz4/compress.inl"
#include "codec/lz4/decompress.inl"
#include "codec/scan/same_filled.inl"

}  // namespace
}  // namespace pleat::codec

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace pleat::codec {

const Kernels kAvx512Kernels = {"avx512", same_filled, fill, lz4_compress, lz4_decompress};

}  // namespace pleat::codec
