// SPDX-License-Identifier: MIT OR Apache-2.0
// Any bytes as a zstd frame to the decoders of every tier, between inaccessible pages: they agree,
// and what they decode libzstd decodes to the same.
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "codec/guarded_buffer.h"
#include "codec/zstd/frame.h"
#include "fuzz_target.h"

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
  if (first.error != 0) return 0;
  std::vector<std::byte> theirs(kCapacity);
  const std::size_t bytes = ZSTD_decompress(theirs.data(), theirs.size(), data, size);
  fuzz_check(ZSTD_isError(bytes) == 0 && bytes == content.size() &&
                 std::equal(content.begin(), content.end(), theirs.begin()),
             "libzstd decodes the same");
  return 0;
}
