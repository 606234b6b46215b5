// SPDX-License-Identifier: MIT OR Apache-2.0
// The tier without requirements: the compiler's baseline, and 8-byte words as vectors.
#include <algorithm>
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

using Vec = std::uint64_t;

PLEAT_INLINE Vec vec_load(const std::byte* from) noexcept { return load_u64(from); }
PLEAT_INLINE void vec_store(std::byte* to, Vec value) noexcept { put(to, value); }
PLEAT_INLINE Vec vec_splat_u64(std::uint64_t word) noexcept { return word; }
PLEAT_INLINE Vec vec_xor(Vec a, Vec b) noexcept { return a ^ b; }
PLEAT_INLINE Vec vec_or(Vec a, Vec b) noexcept { return a | b; }
PLEAT_INLINE bool vec_is_zero(Vec value) noexcept { return value == 0; }

using Block = std::uint64_t;

PLEAT_INLINE Block block_load(const std::byte* from) noexcept { return load_u64(from); }
PLEAT_INLINE void block_store(std::byte* to, Block value) noexcept { put(to, value); }
PLEAT_INLINE Block block_repeat(const std::byte* from, std::size_t period) noexcept {
  return (load_u64(from) & kRepeat8.mask[period]) * kRepeat8.factor[period];
}
PLEAT_INLINE std::size_t block_repeat_step(std::size_t period) noexcept {
  return kRepeat8.step[period];
}

#include "codec/line/scalar.inl"
#include "codec/lz4/block.inl"
#include "codec/lz4/compress.inl"
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

#include "codec/zstd/make_canned.inl"

}  // namespace

std::size_t lz4_compress_scalar(const std::byte* page, std::byte* dst, std::size_t capacity,
                                unsigned level, Lz4Workspace& workspace) noexcept {
  return lz4_compress(page, dst, capacity, level, workspace);
}

std::size_t lz4_compress_group_scalar(const std::byte* group, std::byte* dst, std::size_t capacity,
                                      Lz4GroupWorkspace& workspace) noexcept {
  return lz4_compress_group(group, dst, capacity, workspace);
}

std::size_t zstd_read_tables_scalar(const std::byte* src, std::size_t size, ZstdTableMemory& memory,
                                    ZstdState& state) noexcept {
  return zstd_read_dictionary_tables({src, size}, memory, state);
}

bool zstd_read_canned_scalar(const std::byte* src, std::size_t size,
                             ZstdCannedTables& canned) noexcept {
  return zstd_read_canned({src, size}, canned);
}

std::size_t zstd_write_shapes_scalar(const ZstdShapes& shapes, std::byte* dst) noexcept {
  return zstd_write_shapes(shapes, dst);
}

ZstdParse zstd_parse_scalar(const std::byte* page, ZstdEncoder& encoder) noexcept {
  const ZstdFound found = zstd_find_fast(page, encoder);
  return {found.sequences, found.literals};
}

const Kernels kScalarKernels = {"scalar",
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
