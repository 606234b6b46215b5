// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/page_codec.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/prefetch.h"
#include "codec/codec_spec.h"
#include "codec/isa/tables.h"
#include "codec/line/line_format.h"
#include "codec/lz4/format.h"
#include "codec/lz4/hc_workspace.h"
#include "codec/page_look.h"
#include "codec/zstd/canned_dictionary.h"
#include "codec/zstd/dense_encoder.h"
#include "codec/zstd/frame.h"
#include "codec/zstd/level.h"

namespace pleat::codec {

namespace {

// One digit from `first` to `last`, or `standard` where the specification has no level; 0 for
// others.
unsigned level_of(const std::string& text, unsigned first, unsigned last, unsigned standard) {
  if (text.empty()) return standard;
  const auto level = static_cast<unsigned>(text[0] - '0');
  return text.size() == 1 && level >= first && level <= last ? level : 0;
}

// LZ4's first level has a name instead of a number, which users know from other tools as the
// acceleration, where 1 is the slowest.
unsigned lz4_level(const std::string& text) {
  return text == "fast" ? 1 : level_of(text, 2, kLz4Levels, kLz4LevelDefault);
}

// The line format is made for words, and leaves text and small numbers long. A block of more bytes
// than this is compressed as LZ4 too, which takes about four times as long. Measured in
// docs/performance.md.
constexpr std::size_t kFallbackBytes = 2400;

Error unknown_level(const CodecSpec& spec, const std::string& levels) {
  return Error{EINVAL,
               "codec " + spec.name + " has no level '" + spec.level + "'; there is: " + levels};
}

Error unknown_option(const std::string& codec, const std::string& key, const std::string& value) {
  if (key == "block") {
    return Error{EINVAL, "codec " + codec + ": blocks of more than a page are for recompression; " +
                             "leave out ',block=" + value + "'"};
  }
  if (codec == "zstd") {
    return Error{EINVAL, "codec zstd has no option '" + key + "=" + value +
                             "'; there is: tables=canned, tables=mixed, dict=FILE"};
  }
  if (codec == "line") {
    return Error{EINVAL,
                 "codec line has no option '" + key + "=" + value + "'; there is: fallback=lz4"};
  }
  return Error{EINVAL,
               "codec " + codec + " has no options; leave out '," + key + "=" + value + "'"};
}

std::string canned_spec(ZstdTables tables) {
  return tables == ZstdTables::kMixed ? "zstd,tables=mixed" : "zstd,tables=canned";
}

}  // namespace

const char* default_codec(const Kernels& kernels) noexcept {
  return kernels.line_compress == kScalarKernels.line_compress ? "lz4" : "line,fallback=lz4";
}

std::string codec_or_default(const std::string& spec, const Kernels& kernels) {
  return spec == "auto" ? default_codec(kernels) : spec;
}

// The workspaces are value-initialised: every page of them is touched here, not on the first
// compression.
PageCodec::PageCodec(const Plan& plan, std::string spec, const Kernels& kernels)
    : lz4_level_(plan.lz4_level),
      line_level_(plan.line_level),
      zstd_level_(plan.zstd.level),
      zstd_tables_(plan.zstd_tables),
      spec_(std::move(spec)),
      kernels_(&kernels),
      lz4_(plan.lz4_level != 0 ? std::make_unique<Lz4Workspace>() : nullptr),
      lz4hc_(plan.lz4hc ? std::make_unique<Lz4HcWorkspace>() : nullptr),
      line_(plan.line_level != 0 ? std::make_unique<LineWorkspace>() : nullptr),
      zstd_(plan.zstd.level != 0 && !plan.zstd.is_dense ? std::make_unique<ZstdEncoder>()
                                                        : nullptr),
      zstd_dense_(plan.zstd.is_dense ? std::make_unique<ZstdDenseEncoder>() : nullptr) {
  if (chooses()) second_ = std::make_unique<std::array<std::byte, kPageSize>>();
}

PageCodec::PageCodec(PageCodec&&) noexcept = default;
PageCodec& PageCodec::operator=(PageCodec&&) noexcept = default;
PageCodec::~PageCodec() = default;

Result<PageCodec> PageCodec::open(std::string_view text, const Kernels& kernels) {
  auto parsed = parse_codec_spec(text);
  if (!parsed) return std::move(parsed).error();
  const CodecSpec& spec = *parsed;
  if (spec.name == "lz4") {
    if (!spec.options.empty()) {
      return unknown_option(spec.name, spec.options[0].first, spec.options[0].second);
    }
    const unsigned level = lz4_level(spec.level);
    if (level == 0) return unknown_level(spec, "fast, 2 to " + std::to_string(kLz4Levels));
    std::string name = "lz4";
    if (level != kLz4LevelDefault) name += level == 1 ? ":fast" : ":" + spec.level;
    return PageCodec({.lz4_level = level}, std::move(name), kernels);
  }
  if (spec.name == "lz4hc") {
    if (!spec.options.empty()) {
      return unknown_option(spec.name, spec.options[0].first, spec.options[0].second);
    }
    if (!spec.level.empty()) {
      return Error{EINVAL, "codec lz4hc has no levels; leave out ':" + spec.level + "'"};
    }
    return PageCodec({.lz4hc = true}, "lz4hc", kernels);
  }
  if (spec.name == "zstd") {
    if (!spec.options.empty()) return open_canned(spec, kernels);
    const auto level = zstd_level(spec.level);
    if (!level) return unknown_level(spec, kZstdLevelNames);
    const bool is_default = spec.level.empty() || spec.level == "1";
    return PageCodec({.zstd = *level}, is_default ? "zstd" : "zstd:" + spec.level, kernels);
  }
  if (spec.name != "line") {
    return Error{EINVAL, "unknown codec '" + spec.name + "'; there is: lz4, lz4hc, line, zstd"};
  }
  Plan plan{.line_level = level_of(spec.level, 1, kLineLevels, kLineLevelDefault)};
  if (plan.line_level == 0) return unknown_level(spec, "1 to " + std::to_string(kLineLevels));
  for (const auto& [key, value] : spec.options) {
    if (key != "fallback" || value != "lz4") return unknown_option(spec.name, key, value);
    // What is left to it has few matches, and a search that gives up soon misses most of them.
    plan.lz4_level = kLz4Levels;
  }
  std::string name = "line";
  if (plan.line_level != kLineLevelDefault) name += ":" + std::to_string(plan.line_level);
  if (plan.lz4_level != 0) name += ",fallback=lz4";
  return PageCodec(plan, std::move(name), kernels);
}

Result<PageCodec> PageCodec::open_canned(const CodecSpec& spec, const Kernels& kernels) {
  ZstdTables tables = ZstdTables::kCanned;
  std::string path;
  for (const auto& [key, value] : spec.options) {
    if (key == "dict") {
      path = value;
    } else if (key == "tables" && (value == "canned" || value == "mixed")) {
      if (value == "mixed") tables = ZstdTables::kMixed;
    } else {
      return unknown_option(spec.name, key, value);
    }
  }
  if (!spec.level.empty() && spec.level != "1") {
    return Error{EINVAL,
                 "codec zstd has the options tables and dict at level 1 only; leave out ':" +
                     spec.level + "'"};
  }
  if (!path.empty()) return open_with_dictionary(tables, path, kernels);
  PageCodec codec({.zstd = {2}, .zstd_tables = tables}, canned_spec(tables), kernels);
  codec.canned_ = &ZstdCannedDictionary::built_in();
  return codec;
}

Result<PageCodec> PageCodec::open_with_dictionary(ZstdTables tables, const std::string& path,
                                                  const Kernels& kernels) {
  auto file = ZstdDictionaryFile::open(path);
  if (!file) return std::move(file).error();
  PageCodec codec({.zstd = {2}, .zstd_tables = tables}, canned_spec(tables) + ",dict=" + path,
                  kernels);
  codec.dictionary_file_ = *std::move(file);
  codec.canned_ = &codec.dictionary_file_->canned;
  return codec;
}

std::size_t PageCodec::bound() const noexcept {
  if (may_be(CodecId::kZstd)) return kZstdFrameBound;
  if (line_ == nullptr) return kLz4Bound;
  return chooses() ? kPageSize + 1 : kLineBound;
}

std::size_t PageCodec::workspace_bytes() const noexcept {
  return (lz4_ ? sizeof(*lz4_) : 0) + (lz4hc_ ? sizeof(*lz4hc_) : 0) +
         (line_ ? sizeof(*line_) : 0) + (second_ ? sizeof(*second_) : 0) +
         (zstd_ ? sizeof(*zstd_) : 0) + (zstd_dense_ ? sizeof(*zstd_dense_) : 0) +
         (dictionary_file_ ? sizeof(*dictionary_file_) : 0);
}

Encoded PageCodec::encode(const std::byte* page, std::byte* dst, std::size_t capacity) noexcept {
  if (chooses()) return choose(page, dst, capacity);
  if (canned_ != nullptr) {
    return {kernels_->zstd_compress_canned(page, dst, capacity, zstd_tables_, canned_->tables(),
                                           *zstd_),
            CodecId::kZstdCanned};
  }
  if (zstd_ != nullptr) {
    return {kernels_->zstd_compress(page, dst, capacity, zstd_level_, *zstd_), CodecId::kZstd};
  }
  if (zstd_dense_ != nullptr) {
    return {kernels_->zstd_compress_dense(page, dst, capacity, zstd_level_, *zstd_dense_),
            CodecId::kZstd};
  }
  if (line_ != nullptr) return {compress_line(page, dst, capacity), CodecId::kLine};
  if (lz4hc_ != nullptr) {
    return {kernels_->lz4hc_compress(page, dst, capacity, *lz4hc_), CodecId::kLz4};
  }
  return {kernels_->lz4_compress(page, dst, capacity, lz4_level_, *lz4_), CodecId::kLz4};
}

std::size_t PageCodec::compress_line(const std::byte* page, std::byte* dst,
                                     std::size_t capacity) noexcept {
  // The commonest page of all: no line that is not zero, and no distance.
  std::uint64_t pattern;
  if (kernels_->same_filled(page, &pattern) && pattern == 0) {
    if (capacity < kLineBitmapsBytes) return 0;
    put(dst, std::uint64_t{0});
    put(dst + 8, std::uint64_t{0});
    put(dst + 16, ~std::uint64_t{0});
    return kLineBitmapsBytes;
  }
  return kernels_->line_compress(page, dst, capacity, line_level_, *line_);
}

Encoded PageCodec::choose(const std::byte* page, std::byte* dst, std::size_t capacity) noexcept {
  const PageLook look = look_at(page, {dst, capacity});
  if (look == PageLook::kNoise) return {0, CodecId::kRaw};
  const std::size_t line = look == PageLook::kWords ? compress_line(page, dst, capacity) : 0;
  if (line == 0) {
    return {kernels_->lz4_compress(page, dst, capacity, lz4_level_, *lz4_), CodecId::kLz4};
  }
  if (line <= kFallbackBytes) return {line, CodecId::kLine};
  // Given up as soon as it is no shorter.
  const std::size_t room = std::min(line - 1, second_->size());
  const std::size_t lz4 = kernels_->lz4_compress(page, second_->data(), room, lz4_level_, *lz4_);
  if (lz4 == 0) return {line, CodecId::kLine};
  std::memcpy(dst, second_->data(), lz4);
  return {lz4, CodecId::kLz4};
}

namespace {

// One page by a dictionary's tables.
bool decode_canned(const Kernels& kernels, const ZstdDictionary& dictionary, const std::byte* src,
                   std::size_t size, std::byte* page) noexcept {
  ZstdDecoder decoder;
  decoder.state = dictionary.state();
  ZstdOutput output{page, page, page + kPageSize};
  output.dictionary = dictionary.content();
  return kernels.zstd_decompress_block(decoder, src, size, output) && output.at == output.end;
}

}  // namespace

bool decode_page(const Kernels& kernels, CodecId id, const std::byte* src, std::size_t size,
                 std::byte* page) noexcept {
  switch (id) {
    case CodecId::kLz4:
      return kernels.lz4_decompress(src, size, page);
    case CodecId::kLine:
      return kernels.line_decompress(src, size, page);
    case CodecId::kZstd: {
      // On the stack, where it is in the cache as likely as not.
      ZstdDecoder decoder;
      ZstdOutput output{page, page, page + kPageSize};
      return kernels.zstd_decompress_block(decoder, src, size, output) && output.at == output.end;
    }
    case CodecId::kZstdCanned:
      return decode_canned(kernels, ZstdCannedDictionary::built_in().dictionary(), src, size, page);
    case CodecId::kRaw:
      break;
  }
  return false;
}

bool PageCodec::may_be(CodecId id) const noexcept {
  switch (id) {
    case CodecId::kLz4:
      return lz4_ != nullptr || lz4hc_ != nullptr;
    case CodecId::kLine:
      return line_ != nullptr;
    case CodecId::kZstd:
      return zstd_ != nullptr || zstd_dense_ != nullptr;
    case CodecId::kZstdCanned:
      return canned_ != nullptr;
    case CodecId::kRaw:
      break;
  }
  return false;
}

bool PageCodec::decode(CodecId id, const std::byte* src, std::size_t size,
                       std::byte* page) noexcept {
  if (!may_be(id)) return false;
  if (id != CodecId::kZstdCanned) return decode_page(*kernels_, id, src, size, page);
  return decode_canned(*kernels_, canned_->dictionary(), src, size, page);
}

std::size_t PageCodec::compress(const std::byte* page, std::byte* dst,
                                std::size_t capacity) noexcept {
  if (may_be(CodecId::kZstd)) {
    const std::uint32_t id = canned_ != nullptr ? canned_->dictionary().id() : 0;
    return write_zstd_frame(page, dst, capacity, id, [&](std::byte* to, std::size_t room) {
      return encode(page, to, room).size;
    });
  }
  if (!chooses()) return encode(page, dst, capacity).size;
  if (capacity == 0) return 0;
  Encoded encoded = encode(page, dst, std::min(capacity, kPageSize) - 1);
  if (encoded.size == 0) {
    if (capacity <= kPageSize) return 0;
    std::memcpy(dst, page, kPageSize);
    encoded = {kPageSize, CodecId::kRaw};
  }
  dst[encoded.size] = static_cast<std::byte>(encoded.id);
  return encoded.size + 1;
}

bool PageCodec::decompress(const std::byte* src, std::size_t size, std::byte* page) noexcept {
  if (may_be(CodecId::kZstd)) {
    ZstdDecoder decoder;
    const ZstdDictionary* const dictionary = canned_ != nullptr ? &canned_->dictionary() : nullptr;
    const ZstdDecoded decoded =
        decode_zstd_frame(*kernels_, {src, size}, {page, kPageSize}, dictionary, decoder);
    return decoded.error == 0 && decoded.size == kPageSize;
  }
  if (!chooses()) return decode(line_ != nullptr ? CodecId::kLine : CodecId::kLz4, src, size, page);
  if (size == 0) return false;
  const auto id = static_cast<CodecId>(src[size - 1]);
  if (id != CodecId::kRaw) return decode(id, src, size - 1, page);
  if (size != kPageSize + 1) return false;
  std::memcpy(page, src, kPageSize);
  return true;
}

void PageCodec::compress_pages(std::span<const void* const> pages, void* const* dst,
                               std::size_t capacity, std::int32_t* sizes) noexcept {
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (i + 1 < pages.size()) prefetch_second_level(pages[i + 1], kPageSize);
    sizes[i] = static_cast<std::int32_t>(compress(static_cast<const std::byte*>(pages[i]),
                                                  static_cast<std::byte*>(dst[i]), capacity));
  }
}

bool PageCodec::decompress_pages(std::span<const void* const> src, const std::int32_t* sizes,
                                 void* const* pages, int* errors) noexcept {
  const std::size_t size_max = bound();
  bool good = true;
  for (std::size_t i = 0; i < src.size(); ++i) {
    if (i + 1 < src.size() && sizes[i + 1] > 0) {
      prefetch_second_level(src[i + 1], std::min(static_cast<std::size_t>(sizes[i + 1]), size_max));
    }
    if (sizes[i] < 0) {
      errors[i] = -EINVAL;
    } else {
      const bool is_page =
          decompress(static_cast<const std::byte*>(src[i]), static_cast<std::size_t>(sizes[i]),
                     static_cast<std::byte*>(pages[i]));
      errors[i] = is_page ? 0 : -EBADMSG;
    }
    good = good && errors[i] == 0;
  }
  return good;
}

}  // namespace pleat::codec
