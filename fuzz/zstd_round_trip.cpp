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

constexpr const char* kSpecs[] = {
    "zstd:fast", "zstd", "zstd:3", "zstd:9", "zstd:19", "zstd,tables=canned", "zstd,tables=mixed"};
constexpr std::size_t kPlain = 5;  // the others are by canned tables, and not of groups

// Codecs of every level and tier.
template <typename Codec>
Codec& codec_of(std::size_t level, const pleat::codec::Kernels& tier) {
  using namespace pleat::codec;
  static std::vector<Codec> codecs[std::size(kSpecs)];
  std::vector<Codec>& tiers = codecs[level];
  for (std::size_t i = tiers.size(); i < available_kernels().size(); ++i) {
    tiers.push_back(std::move(*Codec::open(kSpecs[level], *available_kernels()[i])));
  }
  std::size_t at = 0;
  while (available_kernels()[at] != &tier) ++at;
  return tiers[at];
}

void check_group(pleat::fuzz::Input& input, std::size_t level) {
  using namespace pleat::codec;
  std::vector<std::byte> group;
  for (std::size_t i = 0; i < pleat::kGroupPages; ++i) {
    const pleat::fuzz::Page page = pleat::fuzz::build_page(input);
    group.insert(group.end(), page.begin(), page.end());
  }
  std::vector<std::byte> first;
  std::vector<std::byte> back(pleat::kGroupBytes);
  for (const Kernels* tier : available_kernels()) {
    std::vector<std::byte> block(pleat::kGroupBytes);
    block.resize(
        codec_of<GroupCodec>(level, *tier).encode(group.data(), block.data(), block.size()).size);
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
  pleat::fuzz::Input input(data, size);
  const std::size_t capacity = input.word() % (kZstdFrameBound + 1);
  const std::size_t level = input.byte() % std::size(kSpecs);
  pleat::fuzz::check_round_trip(
      pleat::fuzz::build_page(input), kZstdFrameBound, capacity,
      [level](const Kernels& tier) {
        return level >= kPlain       ? reinterpret_cast<const void*>(tier.zstd_compress_canned)
               : level < kZstdLevels ? reinterpret_cast<const void*>(tier.zstd_compress)
                                     : reinterpret_cast<const void*>(tier.zstd_compress_dense);
      },
      [level](const Kernels& tier, const std::byte* page, std::byte* dst, std::size_t room) {
        return codec_of<PageCodec>(level, tier).compress(page, dst, room);
      },
      [level](const Kernels& tier, const std::byte* src, std::size_t bytes, std::byte* to) {
        return codec_of<PageCodec>(level, tier).decompress(src, bytes, to);
      },
      [level](std::span<const std::byte> frame) {
        return decode(frame,
                      level >= kPlain ? built_in_zstd_dictionary() : std::span<const std::byte>());
      });
  if (level < kPlain) check_group(input, level);
  return 0;
}
