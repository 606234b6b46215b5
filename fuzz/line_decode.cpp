// SPDX-License-Identifier: MIT OR Apache-2.0
// Any bytes to the line decoder of every tier, between inaccessible pages: the reference decoder's
// verdict and, for a good block, its page, which every tier's compressor takes through the format.
#include <cstring>
#include <memory>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/line/line_format.h"
#include "fuzz_target.h"
#include "reference/line_reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pleat::codec;
  static const pleat::test::GuardedBuffer in;
  static const pleat::test::GuardedBuffer out;
  static const auto workspace = std::make_unique<LineWorkspace>();
  if (size > pleat::test::GuardedBuffer::kBytes) return 0;

  const auto level = static_cast<unsigned>(1 + size % kLineLevels);
  const auto reference =
      pleat::reference::decode_line({reinterpret_cast<const std::byte*>(data), size});
  for (const Kernels* tier : available_kernels()) {
    for (const bool end : {false, true}) {
      std::byte* const src = in.at_edge(end, size);
      if (size != 0) std::memcpy(src, data, size);
      std::byte* const page = out.at_edge(end, pleat::kPageSize);
      const bool good = tier->line_decompress(src, size, page);
      fuzz_check(good == (reference.error == nullptr), "the decoder judges as the reference does");
      if (!good) continue;
      fuzz_check(std::memcmp(page, reference.page.data(), pleat::kPageSize) == 0,
                 "the decoder's page is the reference's");
      std::byte* const block = in.last(kLineBound);
      const std::size_t made = tier->line_compress(page, block, kLineBound, level, *workspace);
      fuzz_check(made != 0, "every page fits in the bound");
      const auto again = pleat::reference::decode_line({block, made});
      fuzz_check(again.error == nullptr, "the block keeps all rules of the format");
      fuzz_check(again.page == reference.page, "the page comes back");
    }
  }
  return 0;
}
