// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/codec_subject.h"

// The function that resets its state quickly is not in the shared library: we link the static one.
#define LZ4_STATIC_LINKING_ONLY
#include <lz4.h>
#define LZ4_HC_STATIC_LINKING_ONLY
#include <lz4hc.h>
#include <zstd.h>

#include <array>
#include <cstring>
#include <memory>

#include "base/page.h"
#include "codec/page_codec.h"

namespace pleat::tool {

CodecSubject liblz4_subject() {
  CodecSubject subject;
  subject.name = std::string("liblz4 ") + LZ4_versionString();
  subject.lz4_format = true;
  const auto state = std::make_shared<LZ4_stream_t>();
  // fastReset needs a state that was initialised once (lz4.h, at its declaration).
  LZ4_initStream(state.get(), sizeof(*state));
  subject.compress = [state](const std::byte* page, std::byte* dst, std::size_t capacity) {
    const int size = LZ4_compress_fast_extState_fastReset(
        state.get(), reinterpret_cast<const char*>(page), reinterpret_cast<char*>(dst),
        static_cast<int>(kPageSize), static_cast<int>(capacity), 1);
    return static_cast<std::size_t>(size);
  };
  subject.decompress = [](const std::byte* src, std::size_t size, std::byte* page) {
    const int bytes =
        LZ4_decompress_safe(reinterpret_cast<const char*>(src), reinterpret_cast<char*>(page),
                            static_cast<int>(size), static_cast<int>(kPageSize));
    return bytes == static_cast<int>(kPageSize);
  };
  return subject;
}

CodecSubject liblz4_hc_subject() {
  CodecSubject subject = liblz4_subject();
  subject.name = "liblz4 hc 9";
  // Its blocks are of the same format, but they are not ours to judge our decompressor by.
  subject.lz4_format = false;
  const auto state = std::make_shared<LZ4_streamHC_t>();
  LZ4_initStreamHC(state.get(), sizeof(*state));
  subject.compress = [state](const std::byte* page, std::byte* dst, std::size_t capacity) {
    const int size = LZ4_compress_HC_extStateHC_fastReset(
        state.get(), reinterpret_cast<const char*>(page), reinterpret_cast<char*>(dst),
        static_cast<int>(kPageSize), static_cast<int>(capacity), 9);
    return static_cast<std::size_t>(size);
  };
  return subject;
}

CodecSubject libzstd_subject(int level) {
  CodecSubject subject;
  subject.name = std::string("libzstd ") + ZSTD_versionString() + " " + std::to_string(level);
  const std::shared_ptr<ZSTD_CCtx> compressor(ZSTD_createCCtx(), ZSTD_freeCCtx);
  const std::shared_ptr<ZSTD_DCtx> decompressor(ZSTD_createDCtx(), ZSTD_freeDCtx);
  ZSTD_CCtx_setParameter(compressor.get(), ZSTD_c_compressionLevel, level);
  subject.compress = [compressor](const std::byte* page, std::byte* dst, std::size_t capacity) {
    const std::size_t size = ZSTD_compress2(compressor.get(), dst, capacity, page, kPageSize);
    return ZSTD_isError(size) ? 0 : size;
  };
  subject.decompress = [decompressor](const std::byte* src, std::size_t size, std::byte* page) {
    return ZSTD_decompressDCtx(decompressor.get(), page, kPageSize, src, size) == kPageSize;
  };
  return subject;
}

CodecSubject memcpy_subject() {
  CodecSubject subject;
  subject.name = "memcpy";
  subject.compress = [](const std::byte* page, std::byte* dst, std::size_t capacity) {
    if (capacity < kPageSize) return std::size_t{0};
    std::memcpy(dst, page, kPageSize);
    return kPageSize;
  };
  subject.decompress = [](const std::byte* src, std::size_t size, std::byte* page) {
    if (size != kPageSize) return false;
    std::memcpy(page, src, kPageSize);
    return true;
  };
  return subject;
}

Result<CodecSubject> pleat_subject(std::string_view spec, const codec::Kernels& kernels) {
  Result<codec::PageCodec> opened = codec::PageCodec::open(spec, kernels);
  if (!opened) return std::move(opened).error();
  const auto codec = std::make_shared<codec::PageCodec>(std::move(*opened));
  CodecSubject subject;
  subject.name = codec->spec();
  subject.isa = kernels.name;
  subject.lz4_format = codec->spec().starts_with("lz4");
  subject.compress = [codec](const std::byte* page, std::byte* dst, std::size_t capacity) {
    return codec->compress(page, dst, capacity);
  };
  subject.decompress = [codec](const std::byte* src, std::size_t size, std::byte* page) {
    return codec->decompress(src, size, page);
  };
  subject.compress_pages = [codec](std::span<const void* const> pages, void* const* dst,
                                   std::size_t capacity, std::int32_t* sizes) {
    codec->compress_pages(pages, dst, capacity, sizes);
  };
  subject.decompress_pages = [codec](std::span<const void* const> src, const std::int32_t* sizes,
                                     void* const* pages) {
    std::array<int, kBatchPages> errors;
    return codec->decompress_pages(src, sizes, pages, errors.data());
  };
  return subject;
}

}  // namespace pleat::tool
