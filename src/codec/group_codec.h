// SPDX-License-Identifier: MIT OR Apache-2.0
// Codecs of groups: four neighbouring pages as one block, which is smaller than four blocks where
// the pages have something in common. What the store makes of cold pages.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/page.h"
#include "base/result.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"

namespace pleat::codec {

// A specification without its option block=16384, and whether it had that.
struct BlockSpec {
  std::string spec;
  bool groups = false;
};
// EINVAL for one that is malformed, or has another size of block.
Result<BlockSpec> split_block_option(std::string_view spec);

// Thread safety: one thread at a time. Nothing is allocated after open().
class GroupCodec {
 public:
  // `spec` is "lz4", "lz4hc", "zstd" or "zstd:LEVEL"; EINVAL with the list of what there is for
  // another.
  static Result<GroupCodec> open(std::string_view spec, const Kernels& kernels);
  GroupCodec(GroupCodec&&) noexcept;
  GroupCodec& operator=(GroupCodec&&) noexcept;
  ~GroupCodec();

  // Compresses kGroupBytes to at most `capacity` bytes at dst, of which what is behind the size is
  // unspecified; as PageCodec::encode().
  Encoded encode(const std::byte* group, std::byte* dst, std::size_t capacity) noexcept;

 private:
  explicit GroupCodec(const Kernels& kernels);

  const Kernels* kernels_;
  // One of them.
  std::unique_ptr<Lz4GroupWorkspace> lz4_;
  std::unique_ptr<Lz4HcGroupWorkspace> lz4hc_;
  std::unique_ptr<ZstdGroupEncoder> zstd_;
  std::unique_ptr<ZstdDenseGroupEncoder> zstd_dense_;
  unsigned zstd_level_ = 0;
};

// Decompresses the first `pages`, 1 to kGroupPages, of a group that `id` encoded; true if they are
// well-formed, and of all of them if src is exactly one group. The rest of the group is
// unspecified. Any input is safe: nothing outside src[0, size) is read, nothing outside the
// kGroupBytes at `group` is written. Thread safe.
bool decode_group(const Kernels& kernels, CodecId id, const std::byte* src, std::size_t size,
                  std::byte* group, std::size_t pages) noexcept;

}  // namespace pleat::codec
