// SPDX-License-Identifier: MIT OR Apache-2.0
// The tables that isa/*.cpp define, for dispatch.cpp and for the tiers above to point at.
#pragma once

#include "codec/kernels.h"

// Kernels are inlined into one function a table entry, so that a tier leaves no other symbols.
#define PLEAT_INLINE [[gnu::always_inline]] inline

namespace pleat::codec {

struct ZstdTableMemory;
struct ZstdState;
struct ZstdShapes;
struct ZstdParse;

extern const Kernels kScalarKernels;
// All tables have this: LZ4 is compressed byte by byte, and gains nothing from vectors.
std::size_t lz4_compress_scalar(const std::byte* page, std::byte* dst, std::size_t capacity,
                                unsigned level, Lz4Workspace& workspace) noexcept;
std::size_t lz4_compress_group_scalar(const std::byte* group, std::byte* dst, std::size_t capacity,
                                      Lz4GroupWorkspace& workspace) noexcept;
// Reads the tables of a zstd dictionary and returns the bytes that they take; 0 where they are
// none.
std::size_t zstd_read_tables_scalar(const std::byte* src, std::size_t size, ZstdTableMemory& memory,
                                    ZstdState& state) noexcept;
// Makes tables to write by from those that src begins with, which are a dictionary's and were read;
// false where they lack a symbol that a page may have, or are too large to be written by.
bool zstd_read_canned_scalar(const std::byte* src, std::size_t size,
                             ZstdCannedTables& canned) noexcept;
// Describes tables as a dictionary does; the bytes, below kZstdShapesBound, or 0 where they cannot
// be described.
std::size_t zstd_write_shapes_scalar(const ZstdShapes& shapes, std::byte* dst) noexcept;
// What is found in a page, of which sequences and literals are in the encoder.
ZstdParse zstd_parse_scalar(const std::byte* page, ZstdEncoder& encoder) noexcept;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
// The avx512 table has these too.
std::size_t lz4hc_compress_avx2(const std::byte* page, std::byte* dst, std::size_t capacity,
                                Lz4HcWorkspace& workspace) noexcept;
bool lz4_decompress_avx2(const std::byte* src, std::size_t size, std::byte* page) noexcept;
std::size_t lz4hc_compress_group_avx2(const std::byte* group, std::byte* dst, std::size_t capacity,
                                      Lz4HcGroupWorkspace& workspace) noexcept;
bool lz4_decompress_group_avx2(const std::byte* src, std::size_t size, std::byte* group,
                               std::size_t pages) noexcept;
std::size_t zstd_compress_avx2(const std::byte* page, std::byte* dst, std::size_t capacity,
                               unsigned level, ZstdEncoder& encoder) noexcept;
std::size_t zstd_compress_group_avx2(const std::byte* group, std::byte* dst, std::size_t capacity,
                                     unsigned level, ZstdGroupEncoder& encoder) noexcept;
std::size_t zstd_compress_dense_avx2(const std::byte* page, std::byte* dst, std::size_t capacity,
                                     unsigned level, ZstdDenseEncoder& encoder) noexcept;
std::size_t zstd_compress_dense_group_avx2(const std::byte* group, std::byte* dst,
                                           std::size_t capacity, unsigned level,
                                           ZstdDenseGroupEncoder& encoder) noexcept;
std::size_t zstd_compress_canned_avx2(const std::byte* page, std::byte* dst, std::size_t capacity,
                                      ZstdTables tables, const ZstdCannedTables& canned,
                                      ZstdEncoder& encoder) noexcept;
bool zstd_decompress_block_avx2(ZstdDecoder& decoder, const std::byte* src, std::size_t size,
                                ZstdOutput& output) noexcept;
#elif defined(__aarch64__)
extern const Kernels kNeonKernels;
#endif

}  // namespace pleat::codec
