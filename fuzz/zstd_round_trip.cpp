// SPDX-License-Identifier: MIT OR Apache-2.0
// A page, a level and a capacity made of any bytes, as a zstd frame by every tier, for which
// libzstd is the reference; the same by canned tables; and a group of what follows.
#include <zstd.h>

#include <memory>
#include <span>
#include <vector>

#include "codec/group_codec.h"
#include "codec/zstd/canned_dictionary.h"
#include "codec/zstd/frame.h"
#include "round_trip.h"

namespace {

struct Reference {
  const char* error = nullptr;
  pleat::fuzz::Page page;
};

Reference decode(std::span<const std::byte> frame, std::span<const std::byte> dictionary = {}) {
  static const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> decoder{ZSTD_createDCtx(),
                                                                            ZSTD_freeDCtx};
  Reference reference;
  const std::size_t size =
      ZSTD_decompress_usingDict(decoder.get(), reference.page.data(), pleat::kPageSize,
                                frame.data(), frame.size(), dictionary.data(), dictionary.size());
  if (size != pleat::kPageSize) reference.error = "libzstd refuses it";
  return reference;
}

void check_canned(const pleat::fuzz::Page& page, std::size_t capacity,
                  pleat::codec::ZstdTables tables) {
  using namespace pleat::codec;
  static const auto encoder = std::make_unique<ZstdEncoder>();
  static const auto decoder = std::make_unique<ZstdDecoder>();
  static const ZstdCannedDictionary& canned = ZstdCannedDictionary::built_in();
  pleat::fuzz::check_round_trip(
      page, kZstdFrameBound, capacity,
      [](const Kernels& tier) { return reinterpret_cast<const void*>(tier.zstd_compress_canned); },
      [tables](const Kernels& tier, const std::byte* from, std::byte* dst, std::size_t room) {
        return write_zstd_canned_frame(tier, from, dst, room, tables, canned.tables(),
                                       canned.dictionary().id(), *encoder);
      },
      [](const Kernels& tier, const std::byte* src, std::size_t bytes, std::byte* to) {
        const ZstdDecoded decoded = decode_zstd_frame(tier, {src, bytes}, {to, pleat::kPageSize},
                                                      &canned.dictionary(), *decoder);
        return decoded.error == 0 && decoded.size == pleat::kPageSize;
      },
      [](std::span<const std::byte> frame) { return decode(frame, built_in_zstd_dictionary()); });
}

void check_group(pleat::fuzz::Input& input) {
  using namespace pleat::codec;
  static const auto encoder = std::make_unique<ZstdGroupEncoder>();
  std::vector<std::byte> group;
  for (std::size_t i = 0; i < pleat::kGroupPages; ++i) {
    const pleat::fuzz::Page page = pleat::fuzz::build_page(input);
    group.insert(group.end(), page.begin(), page.end());
  }
  std::vector<std::byte> first;
  std::vector<std::byte> back(pleat::kGroupBytes);
  for (const Kernels* tier : available_kernels()) {
    std::vector<std::byte> block(pleat::kGroupBytes);
    block.resize(tier->zstd_compress_group(group.data(), block.data(), block.size(), *encoder));
    if (tier == available_kernels().front()) first = block;
    fuzz_check(block == first, "all tiers find the same block of a group");
    if (block.empty()) continue;
    for (std::size_t pages = 1; pages <= pleat::kGroupPages; ++pages) {
      fuzz_check(
          decode_group(*tier, CodecId::kZstd, block.data(), block.size(), back.data(), pages) &&
              std::memcmp(back.data(), group.data(), pages * pleat::kPageSize) == 0,
          "the pages come back");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pleat::codec;
  static const auto encoder = std::make_unique<ZstdEncoder>();
  static const auto decoder = std::make_unique<ZstdDecoder>();
  pleat::fuzz::Input input(data, size);
  const std::size_t capacity = input.word() % (kZstdFrameBound + 1);
  const unsigned level = 1 + input.byte() % kZstdLevels;
  const pleat::fuzz::Page page = pleat::fuzz::build_page(input);
  pleat::fuzz::check_round_trip(
      page, kZstdFrameBound, capacity,
      [](const Kernels& tier) { return reinterpret_cast<const void*>(tier.zstd_compress); },
      [level](const Kernels& tier, const std::byte* from, std::byte* dst, std::size_t room) {
        return write_zstd_frame(tier, from, dst, room, level, *encoder);
      },
      [](const Kernels& tier, const std::byte* src, std::size_t bytes, std::byte* to) {
        const ZstdDecoded decoded =
            decode_zstd_frame(tier, {src, bytes}, {to, pleat::kPageSize}, nullptr, *decoder);
        return decoded.error == 0 && decoded.size == pleat::kPageSize;
      },
      [](std::span<const std::byte> frame) { return decode(frame); });
  check_canned(page, capacity, level == 1 ? ZstdTables::kCanned : ZstdTables::kMixed);
  check_group(input);
  return 0;
}
