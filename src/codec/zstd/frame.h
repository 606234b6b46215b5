// SPDX-License-Identifier: MIT OR Apache-2.0
// Standard zstd frames (RFC 8878): what leaves the store, and what other programs have made. The
// store's own blocks have no frame around them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "codec/kernels.h"
#include "codec/zstd/canned.h"
#include "codec/zstd/decoder.h"
#include "codec/zstd/encoder.h"

namespace pleat::codec {

// A dictionary: content that matches may reach back to, and the tables of a first block. Does not
// move, since the state leads to its memory.
class ZstdDictionary {
 public:
  ZstdDictionary() = default;  // as none
  ZstdDictionary(const ZstdDictionary&) = delete;
  ZstdDictionary& operator=(const ZstdDictionary&) = delete;

  // `bytes` are a dictionary of the format, or, where they do not begin as one, content alone. They
  // have to live as long as this. EINVAL for one that is damaged.
  static Result<std::unique_ptr<ZstdDictionary>> open(std::span<const std::byte> bytes);
  // The same for one that was just made; false for one that is damaged.
  bool read(std::span<const std::byte> bytes) noexcept;

  // What a frame names it by; 0 for content alone.
  std::uint32_t id() const noexcept { return id_; }
  const ZstdState& state() const noexcept { return state_; }
  std::span<const std::byte> content() const noexcept { return content_; }

  // What of the bytes are the tables and what follows them; empty for content alone.
  std::span<const std::byte> tables() const noexcept { return tables_; }

 private:
  std::uint32_t id_ = 0;
  ZstdState state_;
  ZstdTableMemory memory_;
  std::span<const std::byte> tables_;
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

// How many bytes a dictionary's id takes in a frame; 0 names none.
constexpr std::size_t zstd_id_bytes(std::uint32_t id) noexcept {
  return id == 0 ? 0 : id < 256 ? 1 : id < 65536 ? 2 : 4;
}

// Writes a page as one frame of at most `capacity` bytes, with its size and without a checksum: of
// one block, whose content of `block_size` bytes lies behind the header and the id already; or,
// where that is 0, of the page as it is, without an id. Returns the frame's size, or 0 where it
// does not fit; what dst holds behind it is unspecified.
std::size_t put_zstd_frame(const std::byte* page, std::size_t block_size,
                           std::uint32_t dictionary_id, std::byte* dst,
                           std::size_t capacity) noexcept;

// The same with what compress(to, room) makes of the page: the block's size, or 0.
template <typename Compress>
std::size_t write_zstd_frame(const std::byte* page, std::byte* dst, std::size_t capacity,
                             std::uint32_t dictionary_id, const Compress& compress) noexcept {
  const std::size_t header = kZstdFrameHeader + zstd_id_bytes(dictionary_id);
  // With its id, too, the frame is to be shorter than the page's.
  const std::size_t longest = std::min(capacity, kZstdFrameBound - 1);
  const std::size_t size = longest > header ? compress(dst + header, longest - header) : 0;
  return put_zstd_frame(page, size, dictionary_id, dst, capacity);
}

}  // namespace pleat::codec
