// SPDX-License-Identifier: MIT OR Apache-2.0
// One codec, opened by its specification: what the C API, the store and the benchmarks compress
// with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/page.h"
#include "base/result.h"
#include "codec/kernels.h"

namespace pleat::codec {

// What a stored page was encoded with; the value is part of the store's slot word.
enum class CodecId : std::uint8_t { kLz4 = 1 };

// Thread safety: one thread at a time. Nothing is allocated after open().
class PageCodec {
 public:
  // `spec` is "name[:level][,key=value...]"; EINVAL with the list of what there is for an unknown
  // one.
  static Result<PageCodec> open(std::string_view spec, const Kernels& kernels);
  PageCodec(PageCodec&&) noexcept;
  PageCodec& operator=(PageCodec&&) noexcept;
  ~PageCodec();

  CodecId id() const noexcept { return id_; }
  // The specification in its shortest form, "lz4".
  const std::string& spec() const noexcept { return spec_; }
  const Kernels& kernels() const noexcept { return *kernels_; }
  // The largest compressed size of any page.
  std::size_t bound() const noexcept;
  // Bytes of working memory, allocated at open.
  std::size_t workspace_bytes() const noexcept;

  // The compressed size, or 0 where the page does not fit in `capacity` bytes at dst. `dst` behind
  // the returned size, and all of it after 0, is unspecified; nothing behind dst + capacity is
  // written.
  std::size_t compress(const std::byte* page, std::byte* dst, std::size_t capacity) noexcept;

  // True if src is exactly one page compressed by this codec; else the page is unspecified. Any
  // input is safe: nothing outside src[0, size) is read, nothing outside the page is written.
  bool decompress(const std::byte* src, std::size_t size, std::byte* page) noexcept;

 private:
  PageCodec(CodecId id, std::string spec, const Kernels& kernels);

  CodecId id_;
  std::string spec_;
  const Kernels* kernels_;
  std::unique_ptr<Lz4Workspace> lz4_;
};

}  // namespace pleat::codec
