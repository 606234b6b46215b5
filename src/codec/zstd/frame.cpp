// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/zstd/frame.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "codec/isa/tables.h"
#include "codec/zstd/xxh64.h"

namespace pleat::codec {
namespace {

constexpr std::uint32_t kMagic = 0xfd2fb528;
constexpr std::size_t kBlockHeader = 3;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::uint64_t kBlockBytesMax = std::uint64_t{128} << 10;
constexpr unsigned kWindowLogMax = 31;  // libzstd's

struct FrameHeader {
  std::size_t bytes = 0;  // with the magic number
  std::uint64_t content_size = 0;
  bool has_content_size = false;
  bool has_checksum = false;
  std::uint32_t dictionary_id = 0;
  std::uint64_t block_bytes_max = 0;
};

// False where src does not begin with one.
bool read_header(std::span<const std::byte> src, FrameHeader& header) noexcept {
  constexpr std::size_t kIdBytes[4] = {0, 1, 2, 4};
  constexpr std::size_t kContentSizeBytes[4] = {0, 2, 4, 8};
  if (src.size() < 5 || load_u32(src.data()) != kMagic) return false;
  const auto descriptor = static_cast<unsigned>(src[4]);
  constexpr unsigned kReserved = 8;
  if ((descriptor & kReserved) != 0) return false;
  const bool is_single_segment = (descriptor & 32) != 0;
  header.has_checksum = (descriptor & 4) != 0;
  const std::size_t id_bytes = kIdBytes[descriptor & 3];
  std::size_t size_bytes = kContentSizeBytes[descriptor >> 6];
  if (size_bytes == 0 && is_single_segment) size_bytes = 1;
  std::size_t at = 5;
  header.bytes = at + (is_single_segment ? 0 : 1) + id_bytes + size_bytes;
  if (header.bytes > src.size()) return false;

  std::uint64_t window = 0;
  if (!is_single_segment) {
    const auto byte = static_cast<unsigned>(src[at++]);
    const unsigned log = 10 + (byte >> 3);
    if (log > kWindowLogMax) return false;
    window = (std::uint64_t{1} << log) + (std::uint64_t{1} << log >> 3) * (byte & 7);
  }
  header.dictionary_id = static_cast<std::uint32_t>(load_bytes(src.data() + at, id_bytes));
  at += id_bytes;
  header.has_content_size = size_bytes != 0;
  header.content_size = load_bytes(src.data() + at, size_bytes) + (size_bytes == 2 ? 256 : 0);
  if (is_single_segment) window = header.content_size;
  header.block_bytes_max = std::min(window, kBlockBytesMax);
  return true;
}

// One block that is not compressed. False where it does not fit.
bool put_plain(ZstdBlock kind, const std::byte* from, std::size_t size,
               ZstdOutput& output) noexcept {
  if (size > static_cast<std::size_t>(output.end - output.at)) return false;
  if (size == 0) return true;
  if (kind == ZstdBlock::kRle) {
    std::memset(output.at, static_cast<int>(*from), size);
  } else {
    std::memcpy(output.at, from, size);
  }
  output.at += size;
  return true;
}

}  // namespace

Result<std::unique_ptr<ZstdDictionary>> ZstdDictionary::open(std::span<const std::byte> bytes) {
  auto dictionary = std::make_unique<ZstdDictionary>();
  if (!dictionary->read(bytes)) {
    return Error{EINVAL, "the zstd dictionary is damaged; train it again"};
  }
  return dictionary;
}

bool ZstdDictionary::read(std::span<const std::byte> bytes) noexcept {
  content_ = bytes;
  if (bytes.size() < 8 || load_u32(bytes.data()) != kZstdDictionaryMagic) return true;
  id_ = load_u32(bytes.data() + 4);
  tables_ = bytes.subspan(8);
  const std::size_t tables =
      zstd_read_tables_scalar(tables_.data(), tables_.size(), memory_, state_);
  std::array<std::uint32_t, 3>& repeats = state_.repeats;
  if (id_ == 0 || tables == 0 || tables_.size() - tables < sizeof(repeats)) return false;
  std::memcpy(repeats.data(), tables_.data() + tables, sizeof(repeats));
  content_ = tables_.subspan(tables + sizeof(repeats));
  return std::all_of(repeats.begin(), repeats.end(), [this](std::uint32_t offset) {
    return offset != 0 && offset <= content_.size();
  });
}

ZstdDecoded decode_zstd_frame(const Kernels& kernels, std::span<const std::byte> src,
                              std::span<std::byte> dst, const ZstdDictionary* dictionary,
                              ZstdDecoder& decoder) noexcept {
  constexpr ZstdDecoded kDamaged = {EBADMSG, 0};
  FrameHeader header;
  if (!read_header(src, header)) return kDamaged;
  // A frame may leave out the name of the dictionary that it was made with.
  if (header.dictionary_id != 0 &&
      (dictionary == nullptr || dictionary->id() != header.dictionary_id)) {
    return {ENOKEY, 0};
  }
  const std::size_t capacity = std::min(dst.size(), kZstdBytesMax);
  if (header.has_content_size && header.content_size > capacity) return {EMSGSIZE, 0};

  decoder.state = dictionary != nullptr ? dictionary->state() : ZstdState{};
  ZstdOutput output{dst.data(), dst.data(), nullptr};
  if (dictionary != nullptr) output.dictionary = dictionary->content();
  src = src.subspan(header.bytes);
  for (bool is_last = false; !is_last;) {
    if (src.size() < kBlockHeader) return kDamaged;
    const std::uint64_t block = load_bytes(src.data(), kBlockHeader);
    is_last = (block & 1) != 0;
    const auto kind = static_cast<ZstdBlock>(block >> 1 & 3);
    const std::uint64_t size = block >> 3;
    src = src.subspan(kBlockHeader);
    const std::uint64_t bytes = kind == ZstdBlock::kRle ? 1 : size;
    if (kind == ZstdBlock::kReserved || size > header.block_bytes_max || bytes > src.size()) {
      return kDamaged;
    }
    const auto room = static_cast<std::uint64_t>(dst.data() + capacity - output.at);
    output.end = output.at + std::min(room, header.block_bytes_max);
    const bool good = kind == ZstdBlock::kCompressed
                          ? kernels.zstd_decompress_block(decoder, src.data(), bytes, output)
                          : put_plain(kind, src.data(), size, output);
    if (!good) return kDamaged;
    src = src.subspan(bytes);
  }
  const std::span<const std::byte> content = {dst.data(), output.at};
  if (header.has_content_size && content.size() != header.content_size) return kDamaged;
  if (header.has_checksum) {
    if (src.size() < kChecksumBytes) return kDamaged;
    if (load_u32(src.data()) != static_cast<std::uint32_t>(xxh64(content))) return kDamaged;
    src = src.subspan(kChecksumBytes);
  }
  if (!src.empty()) return kDamaged;
  return {0, content.size()};
}

std::size_t put_zstd_frame(const std::byte* page, std::size_t block_size,
                           std::uint32_t dictionary_id, std::byte* dst,
                           std::size_t capacity) noexcept {
  ZstdBlock kind = ZstdBlock::kCompressed;
  std::size_t size = block_size;
  std::size_t id_bytes = zstd_id_bytes(dictionary_id);
  if (size == 0) {
    if (capacity < kZstdFrameBound) return 0;
    kind = ZstdBlock::kRaw;
    size = kPageSize;
    id_bytes = 0;
    std::memcpy(dst + kZstdFrameHeader, page, kPageSize);
  }
  // A single segment, whose size is in two bytes, less 256; the id's field has 0, 1, 2 or 4.
  const auto id_field = static_cast<unsigned>(std::bit_width(id_bytes));
  put(dst, kMagic);
  dst[4] = static_cast<std::byte>(1 << 6 | 1 << 5 | id_field);
  for (std::size_t i = 0; i < id_bytes; ++i) {
    dst[5 + i] = static_cast<std::byte>(dictionary_id >> 8 * i);
  }
  std::byte* const rest = dst + 5 + id_bytes;
  put(rest, static_cast<std::uint16_t>(kPageSize - 256));
  const std::size_t block = size << 3 | static_cast<std::size_t>(kind) << 1 | 1;
  put(rest + 2, static_cast<std::uint16_t>(block));
  rest[4] = static_cast<std::byte>(block >> 16);
  return kZstdFrameHeader + id_bytes + size;
}

}  // namespace pleat::codec
