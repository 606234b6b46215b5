// SPDX-License-Identifier: MIT OR Apache-2.0
// Any bytes to the LZ4 decoders of every tier, of pages and of groups, between inaccessible pages:
// the reference decoder's verdict and, for a good block, its page or group.
#include <cstring>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "fuzz_target.h"
#include "reference/lz4_reference.h"

namespace {

void check_group(const pleat::codec::Kernels& tier, const std::byte* src, std::size_t size,
                 std::byte* group, const pleat::reference::Lz4Block& reference) {
  for (std::size_t pages = 1; pages <= pleat::kGroupPages; ++pages) {
    const bool good = tier.lz4_decompress_group(src, size, group, pages);
    // What is behind the pages that are wanted may be damaged.
    const bool is_judged = pages == pleat::kGroupPages || reference.error == nullptr;
    fuzz_check(!is_judged || good == (reference.error == nullptr),
               "the decoder of groups judges as the reference does");
    if (!good) continue;
    const std::size_t bytes = pages * pleat::kPageSize;
    fuzz_check(
        reference.page.size() >= bytes && std::memcmp(group, reference.page.data(), bytes) == 0,
        "the decoder's pages are the reference's");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const pleat::test::GuardedBuffer in;
  static const pleat::test::GuardedBuffer out;
  if (size > pleat::test::GuardedBuffer::kBytes) return 0;

  const auto reference =
      pleat::reference::decode_lz4({reinterpret_cast<const std::byte*>(data), size});
  const auto group_reference = pleat::reference::decode_lz4(
      {reinterpret_cast<const std::byte*>(data), size}, pleat::kGroupBytes);
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
      check_group(*tier, src, size, out.first(), group_reference);
    }
  }
  return 0;
}
