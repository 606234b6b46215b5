// SPDX-License-Identifier: MIT OR Apache-2.0
// One codec, opened by its specification: what the C API, the store and the benchmarks compress
// with.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/page.h"
#include "base/result.h"
#include "codec/kernels.h"
#include "codec/zstd/level.h"

namespace pleat::codec {

// What a stored page was encoded with; the value is part of the store's slot word. kRaw is in
// blocks that stand alone only.
// kZstdCanned is zstd by the tables of a dictionary: in the store by those of the built-in one.
enum class CodecId : std::uint8_t { kRaw = 0, kLz4 = 1, kLine = 2, kZstd = 3, kZstdCanned = 4 };

struct CodecSpec;
class ZstdCannedDictionary;
struct ZstdDictionaryFile;

// What compressing a page came to.
struct Encoded {
  std::size_t size;  // 0 where the page does not fit
  CodecId id;        // what decodes it
};

// What suits pages of swap where nobody has chosen: "line,fallback=lz4" in tiers with a vector form
// of line, "lz4" in others.
const char* default_codec(const Kernels& kernels) noexcept;
// `spec`, or the default codec's where it is "auto".
std::string codec_or_default(const std::string& spec, const Kernels& kernels);

// True if src is exactly one page that `id`, any of them but kRaw, encoded; else the page is
// unspecified. Any input is safe, as for PageCodec::decode(). Thread safe.
bool decode_page(const Kernels& kernels, CodecId id, const std::byte* src, std::size_t size,
                 std::byte* page) noexcept;

// Thread safety: one thread at a time. Nothing is allocated after open().
class PageCodec {
 public:
  // `spec` is "name[:level][,key=value...]"; EINVAL with the list of what there is for an unknown
  // one.
  static Result<PageCodec> open(std::string_view spec, const Kernels& kernels);
  // The codec "zstd,tables=canned,dict=PATH", or mixed, of any path.
  static Result<PageCodec> open_with_dictionary(ZstdTables tables, const std::string& path,
                                                const Kernels& kernels);
  PageCodec(PageCodec&&) noexcept;
  PageCodec& operator=(PageCodec&&) noexcept;
  ~PageCodec();

  // The specification in its shortest form: "lz4:fast", "line:4", "line" for its default level.
  const std::string& spec() const noexcept { return spec_; }
  const Kernels& kernels() const noexcept { return *kernels_; }
  // Whether decode_page() decodes its pages, which it does not with a dictionary of a file.
  bool stands_alone() const noexcept { return dictionary_file_ == nullptr; }
  // The largest compressed size of any page.
  std::size_t bound() const noexcept;
  // Bytes of working memory, allocated at open.
  std::size_t workspace_bytes() const noexcept;

  // For who keeps a page's CodecId with its bytes, as the store does. Compresses one page to at
  // most `capacity` bytes at dst; what dst holds behind the size, and all of it where the page does
  // not fit, is unspecified, and nothing behind dst + capacity is written.
  Encoded encode(const std::byte* page, std::byte* dst, std::size_t capacity) noexcept;
  // True if src is exactly one page that `id` encoded, and this codec may choose that; else the
  // page is unspecified. Any input is safe: nothing outside src[0, size) is read, nothing outside
  // the page is written.
  bool decode(CodecId id, const std::byte* src, std::size_t size, std::byte* page) noexcept;

  // The same for blocks that stand alone: where the codec chooses for each page, the block's last
  // byte is the CodecId, and a page that becomes no shorter is kept as it is; zstd's are frames, of
  // which any is read that is one page. Returns the size, or 0 where the page does not fit.
  std::size_t compress(const std::byte* page, std::byte* dst, std::size_t capacity) noexcept;
  bool decompress(const std::byte* src, std::size_t size, std::byte* page) noexcept;

  // Many pages in a call, each as above; memory is asked for the next one while one is worked on.
  // sizes[i] becomes what compress() returns; errors[i] 0, -EBADMSG, or -EINVAL for a negative
  // size. True if every page is good.
  void compress_pages(std::span<const void* const> pages, void* const* dst, std::size_t capacity,
                      std::int32_t* sizes) noexcept;
  bool decompress_pages(std::span<const void* const> src, const std::int32_t* sizes,
                        void* const* pages, int* errors) noexcept;

 private:
  struct Plan {
    unsigned lz4_level = 0;  // 0: the codec has no LZ4 in it
    bool lz4hc = false;
    unsigned line_level = 0;
    ZstdLevel zstd{};
    ZstdTables zstd_tables = {};
  };
  PageCodec(const Plan& plan, std::string spec, const Kernels& kernels);
  bool may_be(CodecId id) const noexcept;
  bool chooses() const noexcept { return lz4_ != nullptr && line_ != nullptr; }
  Encoded choose(const std::byte* page, std::byte* dst, std::size_t capacity) noexcept;
  std::size_t compress_line(const std::byte* page, std::byte* dst, std::size_t capacity) noexcept;
  static Result<PageCodec> open_canned(const CodecSpec& spec, const Kernels& kernels);

  unsigned lz4_level_;
  unsigned line_level_;
  unsigned zstd_level_;
  ZstdTables zstd_tables_;
  std::string spec_;
  const Kernels* kernels_;
  // Of the codecs in use.
  std::unique_ptr<Lz4Workspace> lz4_;
  std::unique_ptr<Lz4HcWorkspace> lz4hc_;
  std::unique_ptr<LineWorkspace> line_;
  std::unique_ptr<ZstdEncoder> zstd_;
  std::unique_ptr<ZstdDenseEncoder> zstd_dense_;
  // Of canned tables: where they are, and the file that they are of, if any.
  const ZstdCannedDictionary* canned_ = nullptr;
  std::unique_ptr<const ZstdDictionaryFile> dictionary_file_;
  // Where the codec chooses: the second block, while the first may still be the smaller one.
  std::unique_ptr<std::array<std::byte, kPageSize>> second_;
};

}  // namespace pleat::codec
