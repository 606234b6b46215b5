// SPDX-License-Identifier: MIT OR Apache-2.0
// A page, a level and a capacity made of any bytes, by lz4 and by lz4hc: all tiers find the same
// block, which is exactly the page for the reference decoder and for every tier's decoder; and what
// does not fit writes nothing behind the capacity.
#include <array>
#include <cstring>
#include <memory>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/lz4/format.h"
#include "codec/lz4/hc_workspace.h"
#include "fuzz_target.h"
#include "page_builder.h"
#include "reference/lz4_reference.h"

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
  static const pleat::test::GuardedBuffer page_memory;
  static const pleat::test::GuardedBuffer block_memory;

  pleat::fuzz::Input input(data, size);
  const std::size_t capacity = input.word() % (kLz4Bound + 1);
  const auto level = static_cast<unsigned>(input.word() % (kLz4Levels + 1));
  const pleat::fuzz::Page built = pleat::fuzz::build_page(input);
  std::byte* const page = page_memory.last(pleat::kPageSize);
  std::memcpy(page, built.data(), built.size());

  std::array<std::byte, kLz4Bound> first;
  std::size_t first_size = 0;
  for (const Kernels* tier : available_kernels()) {
    std::byte* const block = block_memory.last(kLz4Bound);
    const std::size_t block_size = compress(*tier, page, block, kLz4Bound, level);
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
    fuzz_check(back == built, "the page comes back");

    const std::size_t limited = compress(*tier, page, block_memory.last(capacity), capacity, level);
    fuzz_check(limited == (capacity < first_size ? 0 : first_size),
               "a block is refused only where it does not fit");
  }
  return 0;
}
