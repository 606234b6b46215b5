// SPDX-License-Identifier: MIT OR Apache-2.0
// A page, a level and a capacity made of any bytes, through lz4 and lz4hc in every tier; and a
// group of what follows.
#include <memory>
#include <span>
#include <vector>

#include "codec/lz4/format.h"
#include "codec/lz4/hc_workspace.h"
#include "reference/lz4_reference.h"
#include "round_trip.h"

namespace {

// Level 0 is lz4hc.
std::size_t compress(const pleat::codec::Kernels& tier, const std::byte* page, std::byte* dst,
                     std::size_t capacity, unsigned level) {
  static const auto lz4 = std::make_unique<pleat::codec::Lz4Workspace>();
  static const auto lz4hc = std::make_unique<pleat::codec::Lz4HcWorkspace>();
  if (level != 0) return tier.lz4_compress(page, dst, capacity, level, *lz4);
  const std::size_t size = tier.lz4hc_compress(page, dst, capacity, *lz4hc);
  fuzz_check(lz4hc->work <= pleat::codec::kLz4HcWorkMost, "the search stays bounded");
  return size;
}

void check_group(pleat::fuzz::Input& input) {
  using namespace pleat::codec;
  static const auto lz4 = std::make_unique<Lz4GroupWorkspace>();
  static const auto lz4hc = std::make_unique<Lz4HcGroupWorkspace>();
  std::vector<std::byte> group;
  for (std::size_t i = 0; i < pleat::kGroupPages; ++i) {
    const pleat::fuzz::Page page = pleat::fuzz::build_page(input);
    group.insert(group.end(), page.begin(), page.end());
  }
  std::vector<std::byte> block(kLz4GroupBound);
  std::vector<std::byte> back(pleat::kGroupBytes);
  for (const bool dense : {false, true}) {
    std::vector<std::byte> first;
    for (const Kernels* tier : available_kernels()) {
      block.resize(kLz4GroupBound);
      block.resize(
          dense ? tier->lz4hc_compress_group(group.data(), block.data(), block.size(), *lz4hc)
                : tier->lz4_compress_group(group.data(), block.data(), block.size(), *lz4));
      fuzz_check(!block.empty(), "every group fits in the bound");
      if (first.empty()) first = block;
      fuzz_check(block == first, "all tiers find the same block of a group");
      fuzz_check(
          tier->lz4_decompress_group(block.data(), block.size(), back.data(), pleat::kGroupPages) &&
              back == group,
          "the group comes back");
    }
    fuzz_check(pleat::reference::decode_lz4(first, pleat::kGroupBytes).error == nullptr,
               "the block keeps all rules of the format");
    fuzz_check(lz4hc->work <= pleat::kGroupPages * kLz4HcWorkMost, "the search stays bounded");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pleat::codec;
  pleat::fuzz::Input input(data, size);
  const std::size_t capacity = input.word() % (kLz4Bound + 1);
  const auto level = static_cast<unsigned>(input.word() % (kLz4Levels + 1));
  pleat::fuzz::check_round_trip(
      pleat::fuzz::build_page(input), kLz4Bound, capacity,
      [level](const Kernels& tier) {
        return level != 0 ? reinterpret_cast<const void*>(tier.lz4_compress)
                          : reinterpret_cast<const void*>(tier.lz4hc_compress);
      },
      [level](const Kernels& tier, const std::byte* page, std::byte* dst, std::size_t room) {
        return compress(tier, page, dst, room, level);
      },
      [](const Kernels& tier, const std::byte* src, std::size_t bytes, std::byte* page) {
        return tier.lz4_decompress(src, bytes, page);
      },
      [](std::span<const std::byte> block) { return pleat::reference::decode_lz4(block); });
  check_group(input);
  return 0;
}
