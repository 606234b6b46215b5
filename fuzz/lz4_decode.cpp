// SPDX-License-Identifier: MIT OR Apache-2.0
// Any bytes to the LZ4 decoder of every tier, between inaccessible pages: the reference decoder's
// verdict and, for a good block, its page.
#include <cstring>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "fuzz_target.h"
#include "reference/lz4_reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const pleat::test::GuardedBuffer in;
  static const pleat::test::GuardedBuffer out;
  if (size > pleat::test::GuardedBuffer::kBytes) return 0;

  const auto reference =
      pleat::reference::decode_lz4({reinterpret_cast<const std::byte*>(data), size});
  for (const pleat::codec::Kernels* tier : pleat::codec::available_kernels()) {
    for (const bool end : {false, true}) {
      std::byte* const src = in.at_edge(end, size);
      if (size != 0) std::memcpy(src, data, size);
      std::byte* const page = out.at_edge(end, pleat::kPageSize);
      const bool good = tier->lz4_decompress(src, size, page);
      fuzz_check(good == (reference.error == nullptr), "the decoder judges as the reference does");
      if (good) {
        fuzz_check(std::memcmp(page, reference.page.data(), pleat::kPageSize) == 0,
                   "the decoder's page is the reference's");
      }
    }
  }
  return 0;
}
