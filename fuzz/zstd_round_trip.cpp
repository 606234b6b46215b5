// SPDX-License-Identifier: MIT OR Apache-2.0
// A page and a capacity made of any bytes, as a zstd frame by every tier; libzstd is the reference.
#include <zstd.h>

#include <memory>

#include "codec/zstd/frame.h"
#include "round_trip.h"

namespace {

struct Reference {
  const char* error = nullptr;
  pleat::fuzz::Page page;
};

Reference decode(std::span<const std::byte> frame) {
  Reference reference;
  const std::size_t size =
      ZSTD_decompress(reference.page.data(), pleat::kPageSize, frame.data(), frame.size());
  if (size != pleat::kPageSize) reference.error = "libzstd refuses it";
  return reference;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pleat::codec;
  static const auto encoder = std::make_unique<ZstdEncoder>();
  static const auto decoder = std::make_unique<ZstdDecoder>();
  pleat::fuzz::Input input(data, size);
  const std::size_t capacity = input.word() % (kZstdFrameBound + 1);
  pleat::fuzz::check_round_trip(
      pleat::fuzz::build_page(input), kZstdFrameBound, capacity,
      [](const Kernels& tier) { return reinterpret_cast<const void*>(tier.zstd_compress); },
      [](const Kernels& tier, const std::byte* page, std::byte* dst, std::size_t room) {
        return write_zstd_frame(tier, page, dst, room, *encoder);
      },
      [](const Kernels& tier, const std::byte* src, std::size_t bytes, std::byte* page) {
        const ZstdDecoded decoded =
            decode_zstd_frame(tier, {src, bytes}, {page, pleat::kPageSize}, nullptr, *decoder);
        return decoded.error == 0 && decoded.size == pleat::kPageSize;
      },
      decode);
  return 0;
}
