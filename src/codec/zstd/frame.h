// SPDX-License-Identifier: MIT OR Apache-2.0
// Standard zstd frames (RFC 8878): what leaves the store, and what other programs have made. The
// store's own blocks have no frame around them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "codec/kernels.h"
#include "codec/zstd/decoder.h"
#include "codec/zstd/encoder.h"

namespace pleat::codec {

// A dictionary: content that matches may reach back to, and the tables of a first block. Does not
// move once it is opened.
class ZstdDictionary {
 public:
  // `bytes` are a dictionary of the format, or, where they do not begin as one, content alone. They
  // have to live as long as this. EINVAL for one that is damaged.
  static Result<std::unique_ptr<ZstdDictionary>> open(std::span<const std::byte> bytes);

  // What a frame names it by; 0 for content alone.
  std::uint32_t id() const noexcept { return id_; }
  const ZstdState& state() const noexcept { return state_; }
  std::span<const std::byte> content() const noexcept { return content_; }

 private:
  ZstdDictionary() = default;

  std::uint32_t id_ = 0;
  ZstdState state_;
  ZstdTableMemory memory_;
  std::span<const std::byte> content_;
};

struct ZstdDecoded {
  int error;  // 0; EBADMSG: damaged; EMSGSIZE: it says that it is more than dst holds; ENOKEY:
              // another dictionary's
  std::size_t size;
};

// Decodes one frame of at most kZstdBytesMax bytes, which `src` is exactly. Any input is safe:
// nothing outside src and the dictionary is read, nothing outside dst is written; what dst holds
// after an error is unspecified. The decoder needs no preparation and carries nothing between
// calls.
ZstdDecoded decode_zstd_frame(const Kernels& kernels, std::span<const std::byte> src,
                              std::span<std::byte> dst, const ZstdDictionary* dictionary,
                              ZstdDecoder& decoder) noexcept;

// The most bytes that a page's frame has, and how many of a frame are not its block's content.
inline constexpr std::size_t kZstdFrameHeader = 10;
inline constexpr std::size_t kZstdFrameBound = kZstdFrameHeader + kPageSize;

// Writes a page as one frame of at most `capacity` bytes, with its size and without a checksum: of
// one block, whose content of `block_size` bytes lies at dst + kZstdFrameHeader already; or, where
// that is 0, of the page as it is. Returns the frame's size, or 0 where it does not fit; what dst
// holds behind it is unspecified.
std::size_t put_zstd_frame(const std::byte* page, std::size_t block_size, std::byte* dst,
                           std::size_t capacity) noexcept;

// The same with what compress(to, room) makes of the page: the block's size, or 0.
template <typename Compress>
std::size_t write_zstd_frame(const std::byte* page, std::byte* dst, std::size_t capacity,
                             const Compress& compress) noexcept {
  if (capacity <= kZstdFrameHeader) return 0;
  const std::size_t size = compress(dst + kZstdFrameHeader, capacity - kZstdFrameHeader);
  return put_zstd_frame(page, size, dst, capacity);
}

}  // namespace pleat::codec
