// SPDX-License-Identifier: MIT OR Apache-2.0
// The functions that differ between instruction-set tiers, as one table a tier.
//
// A tier is a set of processor features, named after what it needs. Each table is written once, in
// isa/<tier>.cpp, from shared kernels; where a tier has no measured gain its table points to the
// function of the tier below. The table is picked once, at start, and passed down by reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace pleat::codec {

struct Lz4Workspace;
struct Lz4HcWorkspace;
struct Lz4GroupWorkspace;
struct Lz4HcGroupWorkspace;
struct LineWorkspace;
struct ZstdEncoder;
struct ZstdGroupEncoder;
struct ZstdDenseEncoder;
struct ZstdDenseGroupEncoder;
struct ZstdDecoder;
struct ZstdOutput;
struct ZstdCannedTables;
enum class ZstdTables : std::uint8_t;

struct Kernels {
  // "scalar", "avx2", "avx512" or "neon": the values of PLEAT_ISA.
  const char* name;

  // Whether all 8-byte words of the page are equal; if so, *pattern is that word.
  bool (*same_filled)(const std::byte* page, std::uint64_t* pattern) noexcept;

  // Fills the page with copies of `pattern`.
  void (*fill)(std::byte* page, std::uint64_t pattern) noexcept;

  // Compresses one page to an LZ4 block of at most `capacity` bytes at `dst`; 0 where it does not
  // fit. `level` is from 1 to kLz4Levels. Never writes behind dst + capacity. The workspace needs
  // no preparation and carries nothing between calls. Every tier makes the same block of a page.
  std::size_t (*lz4_compress)(const std::byte* page, std::byte* dst, std::size_t capacity,
                              unsigned level, Lz4Workspace& workspace) noexcept;

  // The same by a parse that is as short as the search finds; every tier makes the same block.
  std::size_t (*lz4hc_compress)(const std::byte* page, std::byte* dst, std::size_t capacity,
                                Lz4HcWorkspace& workspace) noexcept;

  // Decompresses an LZ4 block. True if it is well-formed, uses all `size` bytes and yields exactly
  // one page. Reads nothing outside src[0, size), writes nothing outside the page, for any input.
  bool (*lz4_decompress)(const std::byte* src, std::size_t size, std::byte* page) noexcept;

  // The same for groups, of kGroupBytes, as one block; lz4 at its densest level, 5. Decompression
  // ends when the first `pages` are there, 1 to kGroupPages: what the block holds behind these is
  // judged only where it is all of them. The rest of the group is unspecified.
  std::size_t (*lz4_compress_group)(const std::byte* group, std::byte* dst, std::size_t capacity,
                                    Lz4GroupWorkspace& workspace) noexcept;
  std::size_t (*lz4hc_compress_group)(const std::byte* group, std::byte* dst, std::size_t capacity,
                                      Lz4HcGroupWorkspace& workspace) noexcept;
  bool (*lz4_decompress_group)(const std::byte* src, std::size_t size, std::byte* group,
                               std::size_t pages) noexcept;

  // The same for the line format, of pages; `level` is from 1 to kLineLevels.
  std::size_t (*line_compress)(const std::byte* page, std::byte* dst, std::size_t capacity,
                               unsigned level, LineWorkspace& workspace) noexcept;
  bool (*line_decompress)(const std::byte* src, std::size_t size, std::byte* page) noexcept;

  // Compresses one page to the content of one compressed block of zstd's format, which a frame's
  // first block may have; as lz4_compress. `level` is from 1 to kZstdLevels. And a group.
  std::size_t (*zstd_compress)(const std::byte* page, std::byte* dst, std::size_t capacity,
                               unsigned level, ZstdEncoder& encoder) noexcept;
  std::size_t (*zstd_compress_group)(const std::byte* group, std::byte* dst, std::size_t capacity,
                                     unsigned level, ZstdGroupEncoder& encoder) noexcept;
  // The same by a search for the shortest block; `level` is from 1 to kZstdDenseLevels.
  std::size_t (*zstd_compress_dense)(const std::byte* page, std::byte* dst, std::size_t capacity,
                                     unsigned level, ZstdDenseEncoder& encoder) noexcept;
  std::size_t (*zstd_compress_dense_group)(const std::byte* group, std::byte* dst,
                                           std::size_t capacity, unsigned level,
                                           ZstdDenseGroupEncoder& encoder) noexcept;

  // The same for a page by canned tables, at level 1: of a block that is the first one of a frame
  // with the dictionary that has them. `tables` is kCanned or kMixed.
  std::size_t (*zstd_compress_canned)(const std::byte* page, std::byte* dst, std::size_t capacity,
                                      ZstdTables tables, const ZstdCannedTables& canned,
                                      ZstdEncoder& encoder) noexcept;

  // Decodes the content of one compressed block of zstd's format: true if it is well-formed, uses
  // all `size` bytes and fits in the output, whose `at` is behind it then; or where the output says
  // what is enough, and that is reached. Reads nothing outside
  // src[0, size), the output before `at` and its dictionary, writes nothing outside the output, for
  // any input. What the block leaves to the next one of its frame is in decoder.state.
  bool (*zstd_decompress_block)(ZstdDecoder& decoder, const std::byte* src, std::size_t size,
                                ZstdOutput& output) noexcept;
};

// The tiers that this processor can run, from scalar to the best. Never empty.
std::span<const Kernels* const> available_kernels() noexcept;

// The tier that PLEAT_ISA names, or the best one where it is not set. ENOTSUP, with a message that
// lists the tiers this processor has, where the name is unknown or not supported: never a silent
// second choice.
Result<const Kernels*> select_kernels();

// The same for a name given otherwise; an empty name means the best.
Result<const Kernels*> select_kernels(const char* name);

}  // namespace pleat::codec
