// SPDX-License-Identifier: MIT OR Apache-2.0
// What one warp does with one page, or one chunk of pages, of a batch: the same for every format.
// Pages that consist of one 8-byte word never reach a codec.
#pragma once

#include "gpu/line/warp_line_compress.h"
#include "gpu/line/warp_line_decompress.h"
#include "gpu/lz4/warp_lz4_compress.h"
#include "gpu/lz4/warp_lz4_decompress_plain.h"
#include "gpu/lz4/warp_lz4_decompress_speculative.h"
#include "gpu/page_look/warp_page_look.h"
#include "gpu/page_look/warp_same_filled.h"
#include "gpu/plugin/batches.h"
#include "gpu/simt/simt.h"
#include "gpu/warp_compact.h"

namespace pleat::gpu {

// The formats, as kernels know them. Scratch memory is in bytes a warp.
struct LineCodec {
  static constexpr std::uint32_t kCompressScratch = kLineCompressScratch;
  static constexpr std::uint32_t kDecompressScratch = kLineDecompressScratch;
  static PLEAT_DEVICE std::uint32_t compress(Warp& warp, const std::byte* page, std::byte* block,
                                             std::uint32_t capacity) {
    return warp_line_compress(warp, page, block, capacity);
  }
  static PLEAT_DEVICE PageStatus decompress(Warp& warp, const std::byte* block, std::uint32_t size,
                                            std::byte* page) {
    return warp_line_decompress(warp, block, size, page);
  }
};

struct Lz4Codec {
  static constexpr std::uint32_t kCompressScratch = kLz4CompressScratch;
  static constexpr std::uint32_t kDecompressScratch = kLz4SpeculativeScratch;
  static PLEAT_DEVICE std::uint32_t compress(Warp& warp, const std::byte* page, std::byte* block,
                                             std::uint32_t capacity) {
    return warp_lz4_compress(warp, page, block, capacity);
  }
  static PLEAT_DEVICE PageStatus decompress(Warp& warp, const std::byte* block, std::uint32_t size,
                                            std::byte* page) {
    return warp_lz4_decompress_speculative(warp, block, size, page);
  }
};

// The other design, until a GPU has run both (docs/gpu-measurements.md).
struct Lz4PlainCodec {
  static constexpr std::uint32_t kDecompressScratch = kLz4PlainScratch;
  static PLEAT_DEVICE PageStatus decompress(Warp& warp, const std::byte* block, std::uint32_t size,
                                            std::byte* page) {
    return warp_lz4_decompress_plain(warp, block, size, page);
  }
};

// Scratch memory that a warp has at most (ARCHITECTURE.md, decision 12), so that a multiprocessor
// holds enough of them.
inline constexpr std::uint32_t kScratchMax = 8448;
static_assert(LineCodec::kCompressScratch <= kScratchMax);
static_assert(LineCodec::kDecompressScratch <= kScratchMax);
static_assert(Lz4Codec::kCompressScratch <= kScratchMax);
static_assert(Lz4Codec::kDecompressScratch <= kScratchMax);
static_assert(Lz4PlainCodec::kDecompressScratch <= kScratchMax);

template <typename Codec>
PLEAT_DEVICE void warp_compress_page(Warp& warp, const CompressBatch& batch, std::uint32_t page) {
  std::uint32_t word[2];
  std::uint32_t size = 0;
  BlockKind kind = BlockKind::kSame;
  if (warp_same_filled(warp, batch.page(page), word)) {
    size = 8;
    if (warp.lane() == 0) put_global_words4(batch.slot(page), {{word[0], word[1], 0, 0}});
  } else {
    size = Codec::compress(warp, batch.page(page), batch.slot(page), batch.capacity);
    kind = size == 0 ? BlockKind::kRaw : BlockKind::kBlock;
    if (size == 0) size = batch.raw_size;
  }
  if (warp.lane() == 0) {
    batch.sizes[page] = size;
    batch.kinds[page] = kind;
  }
}

// A page that was kept as it is; both are aligned to 16.
PLEAT_DEVICE void warp_copy_page(Warp& warp, const std::byte* from, std::byte* to) {
  PLEAT_UNROLL(2)
  for (std::uint32_t at = 16 * warp.lane(); at < kPageBytes; at += 16 * kWarpLanes) {
    put_global_words4(to + at, global_words4(from + at));
  }
}

template <typename Codec>
PLEAT_DEVICE void warp_decompress_page(Warp& warp, const DecompressBatch& batch,
                                       std::uint32_t page) {
  const BlockKind kind = batch.kinds[page];
  const std::uint32_t size = batch.sizes[page];
  PageStatus status = PageStatus::kOk;
  const bool whole = kind == BlockKind::kRaw && size == kPageBytes;
  if (kind != BlockKind::kBlock && kind != BlockKind::kSame && !whole) {
    status = PageStatus::kNoBlock;
  } else if (size > kPageBytes) {
    status = PageStatus::kTooLarge;
  } else if (!batch.readable(page) || (kind == BlockKind::kSame && size != 8)) {
    status = PageStatus::kCorrupt;
  } else if (kind == BlockKind::kSame) {
    const Words4 words = global_words4(batch.block(page));
    warp_fill(warp, batch.page(page), words.word[0], words.word[1]);
  } else if (whole) {
    warp_copy_page(warp, batch.block(page), batch.page(page));
  } else {
    status = Codec::decompress(warp, batch.block(page), size, batch.page(page));
  }
  if (warp.lane() == 0) batch.statuses[page] = status;
}

// Packing (warp_compact.h), kernel by kernel: the units of each chunk of kChunkPages pages.
PLEAT_DEVICE void warp_sum_chunk(Warp& warp, const Packing& packing, std::uint32_t chunk) {
  warp_compact_sum(warp, packing.sizes, packing.count, chunk, packing.chunks);
}

// The second, of one warp: where each chunk begins, and how much is in use behind the last.
PLEAT_DEVICE void warp_scan_chunks(Warp& warp, const Packing& packing) {
  const std::uint32_t used =
      warp_compact_scan(warp, packing.chunks, packing.chunk_count(), global_u32(packing.used));
  if (warp.lane() == 0) *packing.used = used;
}

// The third: where each block of a chunk goes.
PLEAT_DEVICE void warp_place_chunk(Warp& warp, const Packing& packing, std::uint32_t chunk) {
  warp_compact_offsets(warp, packing.sizes, packing.count, chunk, packing.chunks[chunk],
                       packing.offsets);
}

// And a page's block goes there.
PLEAT_DEVICE void warp_move_block(Warp& warp, const Packing& packing, std::uint32_t page) {
  warp_compact_copy(warp, packing.source(page), packing.sizes[page],
                    packing.blocks + std::size_t{kUnitBytes} * packing.offsets[page]);
}

}  // namespace pleat::gpu
