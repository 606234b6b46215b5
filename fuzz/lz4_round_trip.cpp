// SPDX-License-Identifier: MIT OR Apache-2.0
// A page, a level and a capacity made of any bytes, through lz4 and lz4hc in every tier.
#include <memory>

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
      pleat::reference::decode_lz4);
  return 0;
}
