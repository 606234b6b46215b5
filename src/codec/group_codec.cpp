// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/group_codec.h"

#include <cerrno>
#include <utility>

#include "codec/codec_spec.h"
#include "codec/lz4/format.h"
#include "codec/lz4/hc_workspace.h"
#include "codec/zstd/decoder.h"
#include "codec/zstd/dense_encoder.h"
#include "codec/zstd/encoder.h"
#include "codec/zstd/level.h"

namespace pleat::codec {

namespace {

std::optional<ZstdLevel> zstd_level_of(std::string_view spec) {
  constexpr std::string_view kName = "zstd";
  if (spec == kName) return zstd_level("");
  if (!spec.starts_with("zstd:")) return std::nullopt;
  return zstd_level(spec.substr(kName.size() + 1));
}

}  // namespace

Result<BlockSpec> split_block_option(std::string_view text) {
  auto parsed = parse_codec_spec(text);
  if (!parsed) return std::move(parsed).error();
  BlockSpec split{parsed->name, false};
  if (!parsed->level.empty()) split.spec += ":" + parsed->level;
  for (const auto& [key, value] : parsed->options) {
    if (key != "block") {
      split.spec += "," + key + "=" + value;
      continue;
    }
    if (value != std::to_string(kGroupBytes)) {
      return Error{EINVAL, "there are no blocks of " + value +
                               " bytes; choose block=16384 or leave it out for pages"};
    }
    split.groups = true;
  }
  return split;
}

GroupCodec::GroupCodec(const Kernels& kernels) : kernels_(&kernels) {}

GroupCodec::GroupCodec(GroupCodec&&) noexcept = default;
GroupCodec& GroupCodec::operator=(GroupCodec&&) noexcept = default;
GroupCodec::~GroupCodec() = default;

Result<GroupCodec> GroupCodec::open(std::string_view spec, const Kernels& kernels) {
  GroupCodec codec(kernels);
  if (spec == "lz4") {
    codec.lz4_ = std::make_unique<Lz4GroupWorkspace>();
  } else if (spec == "lz4hc") {
    codec.lz4hc_ = std::make_unique<Lz4HcGroupWorkspace>();
  } else if (const auto level = zstd_level_of(spec)) {
    codec.zstd_level_ = level->level;
    if (level->is_dense) {
      codec.zstd_dense_ = std::make_unique<ZstdDenseGroupEncoder>();
    } else {
      codec.zstd_ = std::make_unique<ZstdGroupEncoder>();
    }
  } else {
    return Error{EINVAL, "codec " + std::string(spec) +
                             " has no blocks of 16384 bytes; those that do: lz4, lz4hc, zstd with "
                             "or without a level"};
  }
  return codec;
}

Encoded GroupCodec::encode(const std::byte* group, std::byte* dst, std::size_t capacity) noexcept {
  if (zstd_ != nullptr) {
    return {kernels_->zstd_compress_group(group, dst, capacity, zstd_level_, *zstd_),
            CodecId::kZstd};
  }
  if (zstd_dense_ != nullptr) {
    return {kernels_->zstd_compress_dense_group(group, dst, capacity, zstd_level_, *zstd_dense_),
            CodecId::kZstd};
  }
  const std::size_t size = lz4hc_ != nullptr
                               ? kernels_->lz4hc_compress_group(group, dst, capacity, *lz4hc_)
                               : kernels_->lz4_compress_group(group, dst, capacity, *lz4_);
  return {size, CodecId::kLz4};
}

bool decode_group(const Kernels& kernels, CodecId id, const std::byte* src, std::size_t size,
                  std::byte* group, std::size_t pages) noexcept {
  if (id == CodecId::kZstd) {
    ZstdDecoder decoder;
    ZstdOutput output{group, group, group + kGroupBytes};
    output.enough = group + pages * kPageSize;
    return kernels.zstd_decompress_block(decoder, src, size, output) && output.at >= output.enough;
  }
  return id == CodecId::kLz4 && kernels.lz4_decompress_group(src, size, group, pages);
}

}  // namespace pleat::codec
