// SPDX-License-Identifier: MIT OR Apache-2.0
// What one warp does with one page, or one chunk of pages, of a batch: the same for every format.
// Pages that consist of one 8-byte word never reach a codec.
#pragma once

#include "gpu/line/warp_line_compress.h"
#include "gpu/line/warp_line_decompress.h"
#include "gpu/lz4/warp_lz4_compress.h"
#include "gpu/lz4/warp_lz4_decompress_plain.h"
#include "gpu/lz4/warp_lz4_decompress_speculative.h"
#include "gpu/plugin/batches.h"
#include "gpu/simt/simt.h"

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

// Whether all 8-byte words of a page are the first one, which is left in word[] in any case. The
// page is aligned to 16.
PLEAT_DEVICE bool warp_same_filled(Warp& warp, const std::byte* page, std::uint32_t* word) {
  const Words4 first = global_words4(page);
  word[0] = first.word[0];
  word[1] = first.word[1];
  std::uint32_t differs = 0;
  PLEAT_UNROLL(8)
  for (std::uint32_t at = 16 * warp.lane(); at < kPageBytes; at += 16 * kWarpLanes) {
    const Words4 words = global_words4(page + at);
    differs |= (words.word[0] ^ word[0]) | (words.word[1] ^ word[1]) | (words.word[2] ^ word[0]) |
               (words.word[3] ^ word[1]);
  }
  return !warp.any(differs != 0);
}

PLEAT_DEVICE void warp_fill(Warp& warp, std::byte* page, std::uint32_t low, std::uint32_t high) {
  PLEAT_UNROLL(8)
  for (std::uint32_t at = 16 * warp.lane(); at < kPageBytes; at += 16 * kWarpLanes) {
    put_global_words4(page + at, {{low, high, low, high}});
  }
}

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
  }
  if (warp.lane() == 0) {
    batch.sizes[page] = size;
    batch.kinds[page] = kind;
  }
}

template <typename Codec>
PLEAT_DEVICE void warp_decompress_page(Warp& warp, const DecompressBatch& batch,
                                       std::uint32_t page) {
  const BlockKind kind = batch.kinds[page];
  const std::uint32_t size = batch.sizes[page];
  PageStatus status = PageStatus::kOk;
  if (kind != BlockKind::kBlock && kind != BlockKind::kSame) {
    status = PageStatus::kNoBlock;
  } else if (size > kPageBytes) {
    status = PageStatus::kTooLarge;
  } else if (!batch.readable(page) || (kind == BlockKind::kSame && size != 8)) {
    status = PageStatus::kCorrupt;
  } else if (kind == BlockKind::kSame) {
    const Words4 words = global_words4(batch.block(page));
    warp_fill(warp, batch.page(page), words.word[0], words.word[1]);
  } else {
    status = Codec::decompress(warp, batch.block(page), size, batch.page(page));
  }
  if (warp.lane() == 0) batch.statuses[page] = status;
}

// Packing takes three kernels. The first: the units of each chunk of kChunkPages pages.
PLEAT_DEVICE void warp_sum_chunk(Warp& warp, const Packing& packing, std::uint32_t chunk) {
  const std::uint32_t begin = chunk * kChunkPages;
  std::uint32_t sum = 0;
  for (std::uint32_t i = warp.lane(); i < kChunkPages; i += kWarpLanes) {
    if (begin + i < packing.count) sum += units_of(packing.sizes[begin + i]);
  }
  sum = warp.reduce_add(sum);
  if (warp.lane() == 0) packing.chunks[chunk] = sum;
}

// The second, of one warp: where each chunk begins, and how much is in use behind the last.
PLEAT_DEVICE void warp_scan_chunks(Warp& warp, const Packing& packing) {
  const std::uint32_t chunks = (packing.count + kChunkPages - 1) / kChunkPages;
  std::uint32_t used = *packing.used;
  for (std::uint32_t first = 0; first < chunks; first += kWarpLanes) {
    const std::uint32_t chunk = first + warp.lane();
    std::uint32_t total;
    const std::uint32_t before =
        scan_below(warp, chunk < chunks ? packing.chunks[chunk] : 0, &total);
    if (chunk < chunks) packing.chunks[chunk] = used + before;
    used += total;
  }
  if (warp.lane() == 0) *packing.used = used;
}

// The third: where each block of a chunk goes.
PLEAT_DEVICE void warp_place_chunk(Warp& warp, const Packing& packing, std::uint32_t chunk) {
  const std::uint32_t begin = chunk * kChunkPages;
  std::uint32_t at = packing.chunks[chunk];
  for (std::uint32_t first = begin; first < begin + kChunkPages; first += kWarpLanes) {
    const std::uint32_t page = first + warp.lane();
    std::uint32_t total;
    const std::uint32_t before =
        scan_below(warp, page < packing.count ? units_of(packing.sizes[page]) : 0, &total);
    if (page < packing.count) packing.offsets[page] = at + before;
    at += total;
  }
}

// And a page's block goes there.
PLEAT_DEVICE void warp_move_block(Warp& warp, const Packing& packing, std::uint32_t page) {
  const std::uint32_t units = units_of(packing.sizes[page]);
  const std::byte* const from = packing.slots + std::size_t{packing.capacity} * page;
  std::byte* const to = packing.blocks + std::size_t{kUnitBytes} * packing.offsets[page];
  PLEAT_UNROLL(4)
  for (std::uint32_t unit = warp.lane(); unit < units; unit += kWarpLanes) {
    put_global_words4(to + kUnitBytes * unit, global_words4(from + kUnitBytes * unit));
  }
}

}  // namespace pleat::gpu
