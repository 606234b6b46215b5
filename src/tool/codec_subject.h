// SPDX-License-Identifier: MIT OR Apache-2.0
// A page codec as the benchmark sees one: functions and a name. Ours, liblz4 and memcpy are all
// called through the same indirection, so that it costs each of them the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "codec/kernels.h"

namespace pleat::tool {

// How many pages the benchmark gives to one call, at most.
inline constexpr std::size_t kBatchPages = 16;

struct CodecSubject {
  std::string name;  // "lz4"
  std::string isa;   // "avx2", or empty where it does not apply
  // Whether it writes LZ4 blocks, so that liblz4's blocks can be given to its decompress.
  bool lz4_format = false;
  // The compressed size of the page at `dst`, which has room for `capacity` bytes; 0 where it does
  // not fit.
  std::function<std::size_t(const std::byte* page, std::byte* dst, std::size_t capacity)> compress;
  // Whether src is one page.
  std::function<bool(const std::byte* src, std::size_t size, std::byte* page)> decompress;
  // The same for many pages in a call; empty where the codec takes them one by one.
  std::function<void(std::span<const void* const> pages, void* const* dst, std::size_t capacity,
                     std::int32_t* sizes)>
      compress_pages;
  std::function<bool(std::span<const void* const> src, const std::int32_t* sizes,
                     void* const* pages)>
      decompress_pages;
};

// The peer: LZ4_compress_fast_extState_fastReset with acceleration 1, and LZ4_decompress_safe.
CodecSubject liblz4_subject();

// What lz4hc is compared with: LZ4_compress_HC_extStateHC_fastReset with level 9, and
// LZ4_decompress_safe.
CodecSubject liblz4_hc_subject();

// What zstd is compared with: ZSTD_compress2 and ZSTD_decompressDCtx with contexts that are used
// again, at `level`.
CodecSubject libzstd_subject(int level);

// What kernels have had longest: lzo1x_1_compress and lzo1x_decompress_safe. None where liblzo2 is
// not installed.
std::optional<CodecSubject> lzo_subject();

// Copies the page: what moving 4096 bytes costs.
CodecSubject memcpy_subject();

// Ours; an error as of PageCodec::open().
Result<CodecSubject> pleat_subject(std::string_view spec, const codec::Kernels& kernels);

}  // namespace pleat::tool
