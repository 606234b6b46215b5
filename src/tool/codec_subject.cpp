// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/codec_subject.h"

#include <dlfcn.h>

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
namespace {

// liblzo2, opened when it is asked for: its licence, the GPL, is not ours, and it is for comparison
// only. What is declared here is lzo1x.h's and lzoconf.h's interface.
class LzoLibrary {
 public:
  static constexpr int kOk = 0;
  static constexpr std::size_t kMemoryBytes = 16384 * sizeof(void*);          // of compress
  static constexpr std::size_t kPageBound = kPageSize + kPageSize / 16 + 67;  // by LZO's FAQ
  using Code = int(const std::byte* src, std::size_t size, std::byte* dst, std::size_t* dst_size,
                   void* memory);

  // Null where it is not installed.
  static std::shared_ptr<LzoLibrary> open() {
    std::shared_ptr<LzoLibrary> library(new LzoLibrary);
    const bool is_good = library->handle_ != nullptr &&
                         library->find("lzo1x_1_compress", &library->compress) &&
                         library->find("lzo1x_decompress_safe", &library->decompress) &&
                         library->find("lzo_version_string", &library->version_string);
    return is_good ? library : nullptr;
  }
  LzoLibrary(const LzoLibrary&) = delete;
  LzoLibrary& operator=(const LzoLibrary&) = delete;
  ~LzoLibrary() {
    if (handle_ != nullptr) dlclose(handle_);
  }

  Code* compress = nullptr;
  Code* decompress = nullptr;
  const char* (*version_string)() = nullptr;

 private:
  LzoLibrary() : handle_(dlopen("liblzo2.so.2", RTLD_NOW | RTLD_LOCAL)) {}
  template <typename Function>
  bool find(const char* name, Function** function) {
    *function = reinterpret_cast<Function*>(dlsym(handle_, name));
    return *function != nullptr;
  }

  void* handle_;
};

}  // namespace

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

std::optional<CodecSubject> lzo_subject() {
  const auto library = LzoLibrary::open();
  if (library == nullptr) return std::nullopt;
  CodecSubject subject;
  subject.name = std::string("lzo1x-1 ") + library->version_string();
  const auto memory = std::make_shared<std::array<std::byte, LzoLibrary::kMemoryBytes>>();
  subject.compress = [library, memory](const std::byte* page, std::byte* dst,
                                       std::size_t capacity) {
    // It is not told where dst ends.
    std::size_t size = 0;
    const bool done =
        capacity >= LzoLibrary::kPageBound &&
        library->compress(page, kPageSize, dst, &size, memory->data()) == LzoLibrary::kOk;
    return done ? size : 0;
  };
  subject.decompress = [library](const std::byte* src, std::size_t size, std::byte* page) {
    std::size_t bytes = kPageSize;
    return library->decompress(src, size, page, &bytes, nullptr) == LzoLibrary::kOk &&
           bytes == kPageSize;
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
