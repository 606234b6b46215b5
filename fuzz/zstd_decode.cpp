// SPDX-License-Identifier: MIT OR Apache-2.0
// Any bytes as a zstd frame to the decoders of every tier, between inaccessible pages: they agree,
// and what they decode libzstd decodes to the same. And as a block of the store, which has no
// header before it.
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "codec/group_codec.h"
#include "codec/guarded_buffer.h"
#include "codec/page_codec.h"
#include "codec/zstd/frame.h"
#include "fuzz_target.h"

namespace {

void check_block(const std::uint8_t* data, std::size_t size) {
  using namespace pleat::codec;
  static const pleat::test::GuardedBuffer in;
  static const pleat::test::GuardedBuffer out;
  static std::byte first[pleat::kGroupBytes];
  bool first_good = false;
  for (const Kernels* tier : available_kernels()) {
    for (const bool end : {false, true}) {
      std::byte* const src = in.at_edge(end, size);
      if (size != 0) std::memcpy(src, data, size);
      std::byte* const group = out.at_edge(end, pleat::kGroupBytes);
      const bool good = decode_group(*tier, CodecId::kZstd, src, size, group, pleat::kGroupPages);
      std::byte* const page = out.at_edge(end, pleat::kPageSize);
      if (tier == available_kernels().front() && !end) {
        first_good = good;
        if (good) std::memcpy(first, group, pleat::kGroupBytes);
      }
      fuzz_check(
          good == first_good && (!good || std::memcmp(group, first, pleat::kGroupBytes) == 0),
          "all tiers decode the same group");
      (void)decode_page(*tier, CodecId::kZstd, src, size, page);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using pleat::codec::ZstdDecoded;
  using pleat::codec::ZstdDecoder;
  static const pleat::test::GuardedBuffer in;
  static const pleat::test::GuardedBuffer out;
  static const std::unique_ptr<ZstdDecoder> decoder = std::make_unique<ZstdDecoder>();
  if (size > pleat::test::GuardedBuffer::kBytes) return 0;

  constexpr std::size_t kCapacity = pleat::codec::kZstdBytesMax;
  bool is_first = true;
  ZstdDecoded first{};
  std::vector<std::byte> content;
  for (const pleat::codec::Kernels* tier : pleat::codec::available_kernels()) {
    for (const bool end : {false, true}) {
      std::byte* const src = in.at_edge(end, size);
      if (size != 0) std::memcpy(src, data, size);
      std::byte* const dst = out.at_edge(end, kCapacity);
      const ZstdDecoded decoded =
          pleat::codec::decode_zstd_frame(*tier, {src, size}, {dst, kCapacity}, nullptr, *decoder);
      if (is_first) {
        first = decoded;
        content.assign(dst, dst + decoded.size);
      }
      is_first = false;
      fuzz_check(decoded.error == first.error && decoded.size == first.size &&
                     std::equal(content.begin(), content.end(), dst),
                 "all tiers decode the same");
    }
  }
  check_block(data, size);
  if (first.error != 0) return 0;
  std::vector<std::byte> theirs(kCapacity);
  const std::size_t bytes = ZSTD_decompress(theirs.data(), theirs.size(), data, size);
  fuzz_check(ZSTD_isError(bytes) == 0 && bytes == content.size() &&
                 std::equal(content.begin(), content.end(), theirs.begin()),
             "libzstd decodes the same");
  return 0;
}
