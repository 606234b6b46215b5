// SPDX-License-Identifier: MIT OR Apache-2.0
// libpleat's C API: argument checks and nothing else in front of PageCodec. No exception leaves it.
#include <cerrno>
#include <new>
#include <utility>

#include "codec/page_codec.h"
#include "pleat/pleat.h"

static_assert(PLEAT_PAGE_SIZE == pleat::kPageSize);

struct pleat_codec {
  pleat::codec::PageCodec codec;
};

namespace {

const std::byte* bytes(const void* pointer) { return static_cast<const std::byte*>(pointer); }
std::byte* bytes(void* pointer) { return static_cast<std::byte*>(pointer); }

}  // namespace

extern "C" {

int pleat_codec_open(const char* spec, pleat_codec** out) {
  if (out == nullptr) return -EINVAL;
  *out = nullptr;
  if (spec == nullptr) return -EINVAL;
  try {
    const auto kernels = pleat::codec::select_kernels();
    if (!kernels) return -kernels.error().code;
    auto codec = pleat::codec::PageCodec::open(spec, **kernels);
    if (!codec) return -codec.error().code;
    *out = new pleat_codec{std::move(*codec)};
    return 0;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

void pleat_codec_close(pleat_codec* codec) { delete codec; }

size_t pleat_codec_bound(const pleat_codec* codec) {
  return codec == nullptr ? 0 : codec->codec.bound();
}

ssize_t pleat_compress_page(pleat_codec* codec, const void* page, void* dst, size_t dst_capacity) {
  if (codec == nullptr || page == nullptr || dst == nullptr) return -EINVAL;
  return static_cast<ssize_t>(codec->codec.compress(bytes(page), bytes(dst), dst_capacity));
}

int pleat_decompress_page(pleat_codec* codec, const void* src, size_t src_size, void* page) {
  if (codec == nullptr || src == nullptr || page == nullptr) return -EINVAL;
  return codec->codec.decompress(bytes(src), src_size, bytes(page)) ? 0 : -EBADMSG;
}

int pleat_compress_pages(pleat_codec* codec, size_t count, const void* const* pages,
                         void* const* dst, size_t dst_capacity, int32_t* sizes) {
  if (codec == nullptr || pages == nullptr || dst == nullptr || sizes == nullptr) return -EINVAL;
  for (size_t i = 0; i < count; ++i) {
    if (pages[i] == nullptr || dst[i] == nullptr) return -EINVAL;
  }
  codec->codec.compress_pages({pages, count}, dst, dst_capacity, sizes);
  return 0;
}

int pleat_decompress_pages(pleat_codec* codec, size_t count, const void* const* src,
                           const int32_t* sizes, void* const* pages, int* errors) {
  if (codec == nullptr || src == nullptr || sizes == nullptr || pages == nullptr ||
      errors == nullptr) {
    return -EINVAL;
  }
  for (size_t i = 0; i < count; ++i) {
    if (src[i] == nullptr || pages[i] == nullptr) return -EINVAL;
  }
  return codec->codec.decompress_pages({src, count}, sizes, pages, errors) ? 0 : -EBADMSG;
}

int pleat_page_same_filled(const void* page, uint64_t* pattern) {
  if (page == nullptr || pattern == nullptr) return -EINVAL;
  // The best tier, whatever PLEAT_ISA says wrongly: the answer is the same in all of them.
  static const pleat::codec::Kernels& kernels = *pleat::codec::available_kernels().back();
  return kernels.same_filled(bytes(page), pattern) ? 1 : 0;
}

const char* pleat_isa(void) {
  try {
    const auto kernels = pleat::codec::select_kernels();
    return kernels ? (*kernels)->name : nullptr;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

const char* pleat_version(void) { return PLEAT_VERSION; }

}  // extern "C"
