// SPDX-License-Identifier: MIT OR Apache-2.0
// A page, a level and a capacity made of any bytes, through line in every tier.
#include <memory>

#include "codec/line/line_format.h"
#include "reference/line_reference.h"
#include "round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pleat::codec;
  static const auto workspace = std::make_unique<LineWorkspace>();
  pleat::fuzz::Input input(data, size);
  const std::size_t capacity = input.word() % (kLineBound + 1);
  const auto level = static_cast<unsigned>(1 + input.byte() % kLineLevels);
  pleat::fuzz::check_round_trip(
      pleat::fuzz::build_page(input), kLineBound, capacity,
      [](const Kernels& tier) { return reinterpret_cast<const void*>(tier.line_compress); },
      [level](const Kernels& tier, const std::byte* page, std::byte* dst, std::size_t room) {
        return tier.line_compress(page, dst, room, level, *workspace);
      },
      [](const Kernels& tier, const std::byte* src, std::size_t bytes, std::byte* page) {
        return tier.line_decompress(src, bytes, page);
      },
      pleat::reference::decode_line);
  return 0;
}
