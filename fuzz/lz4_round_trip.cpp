// SPDX-License-Identifier: MIT OR Apache-2.0
// A page and a capacity made of any bytes: all tiers find the same block, which is exactly the page
// for the reference decoder and for every tier's decoder; and what does not fit writes nothing
// behind the capacity.
#include <array>
#include <cstring>
#include <memory>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/lz4/format.h"
#include "fuzz_target.h"
#include "page_builder.h"
#include "reference/lz4_reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pleat::codec;
  static const pleat::test::GuardedBuffer page_memory;
  static const pleat::test::GuardedBuffer block_memory;
  static const auto workspace = std::make_unique<Lz4Workspace>();

  pleat::fuzz::Input input(data, size);
  const std::size_t capacity = input.word() % (kLz4Bound + 1);
  const unsigned level = 1 + static_cast<unsigned>(input.word() % kLz4Levels);
  const pleat::fuzz::Page built = pleat::fuzz::build_page(input);
  std::byte* const page = page_memory.last(pleat::kPageSize);
  std::memcpy(page, built.data(), built.size());

  std::array<std::byte, kLz4Bound> first;
  std::size_t first_size = 0;
  for (const Kernels* tier : available_kernels()) {
    std::byte* const block = block_memory.last(kLz4Bound);
    const std::size_t block_size = tier->lz4_compress(page, block, kLz4Bound, level, *workspace);
    fuzz_check(block_size != 0 && block_size <= kLz4Bound, "every page fits in the bound");
    if (first_size == 0) {
      first_size = block_size;
      std::memcpy(first.data(), block, block_size);
      const auto reference = pleat::reference::decode_lz4({block, block_size});
      fuzz_check(reference.error == nullptr, "the block keeps all rules of the format");
      fuzz_check(std::memcmp(reference.page.data(), page, pleat::kPageSize) == 0,
                 "the reference decodes the page");
    }
    fuzz_check(block_size == first_size && std::memcmp(block, first.data(), block_size) == 0,
               "all tiers find the same block");
    pleat::fuzz::Page back;
    fuzz_check(tier->lz4_decompress(block, block_size, back.data()), "the tier decodes its block");
    fuzz_check(std::memcmp(back.data(), page, pleat::kPageSize) == 0, "the page comes back");

    const std::size_t limited =
        tier->lz4_compress(page, block_memory.last(capacity), capacity, level, *workspace);
    fuzz_check(limited == (capacity < first_size ? 0 : first_size),
               "a block is refused only where it does not fit");
  }
  return 0;
}
