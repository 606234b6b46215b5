// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/page_codec.h"

#include <cerrno>
#include <utility>

#include "codec/codec_spec.h"
#include "codec/lz4/format.h"

namespace pleat::codec {

PageCodec::PageCodec(CodecId id, std::string spec, const Kernels& kernels)
    : id_(id),
      spec_(std::move(spec)),
      kernels_(&kernels),
      // Value-initialised: every page of it is touched here and not on the first compression.
      lz4_(std::make_unique<Lz4Workspace>()) {}

PageCodec::PageCodec(PageCodec&&) noexcept = default;
PageCodec& PageCodec::operator=(PageCodec&&) noexcept = default;
PageCodec::~PageCodec() = default;

Result<PageCodec> PageCodec::open(std::string_view text, const Kernels& kernels) {
  auto spec = parse_codec_spec(text);
  if (!spec) return std::move(spec).error();
  if (spec->name != "lz4") {
    return Error{EINVAL, "unknown codec '" + spec->name + "'; there is: lz4"};
  }
  if (!spec->level.empty()) {
    return Error{EINVAL, "codec lz4 has no levels; leave out ':" + spec->level + "'"};
  }
  if (!spec->options.empty()) {
    const auto& [key, value] = spec->options.front();
    return Error{EINVAL, "codec lz4 has no options; leave out '," + key + "=" + value + "'"};
  }
  return PageCodec(CodecId::kLz4, "lz4", kernels);
}

std::size_t PageCodec::bound() const noexcept { return kLz4Bound; }

std::size_t PageCodec::workspace_bytes() const noexcept { return sizeof(Lz4Workspace); }

std::size_t PageCodec::compress(const std::byte* page, std::byte* dst,
                                std::size_t capacity) noexcept {
  return kernels_->lz4_compress(page, dst, capacity, *lz4_);
}

bool PageCodec::decompress(const std::byte* src, std::size_t size, std::byte* page) noexcept {
  return kernels_->lz4_decompress(src, size, page);
}

}  // namespace pleat::codec
