// SPDX-License-Identifier: MIT OR Apache-2.0
// What holds for every codec and any page.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "fuzz_target.h"
#include "page_builder.h"

namespace pleat::fuzz {

// All tiers find the same block, which is exactly the page for the reference decoder and for every
// tier's decoder; and what does not fit writes nothing behind the capacity.
//   function(tier): the address of what compresses, which tiers may share; each is tried once
//   compress(tier, page, dst, capacity): the size, or 0
//   decompress(tier, src, size, page): whether src is one page
//   reference(block): the page, and an error or null
template <typename Function, typename Compress, typename Decompress, typename Reference>
void check_round_trip(const Page& built, std::size_t bound, std::size_t capacity,
                      const Function& function, const Compress& compress,
                      const Decompress& decompress, const Reference& reference) {
  static const test::GuardedBuffer page_memory;
  static const test::GuardedBuffer block_memory;
  std::byte* const page = page_memory.last(kPageSize);
  std::memcpy(page, built.data(), built.size());

  std::vector<std::byte> first;
  const void* tried = nullptr;
  for (const codec::Kernels* tier : codec::available_kernels()) {
    if (const void* const compressor = function(*tier); compressor != tried) {
      tried = compressor;
      std::byte* const block = block_memory.last(bound);
      const std::size_t size = compress(*tier, page, block, bound);
      fuzz_check(size != 0 && size <= bound, "every page fits in the bound");
      if (first.empty()) {
        first.assign(block, block + size);
        const auto decoded = reference(first);
        fuzz_check(decoded.error == nullptr, "the block keeps all rules of the format");
        fuzz_check(std::memcmp(decoded.page.data(), page, kPageSize) == 0,
                   "the reference decodes the page");
      }
      fuzz_check(size == first.size() && std::memcmp(block, first.data(), size) == 0,
                 "all tiers find the same block");
      const std::size_t limited = compress(*tier, page, block_memory.last(capacity), capacity);
      fuzz_check(limited == (capacity < first.size() ? 0 : first.size()),
                 "a block is refused only where it does not fit");
    }
    Page back;
    std::byte* const exact = block_memory.last(first.size());
    std::memcpy(exact, first.data(), first.size());
    fuzz_check(decompress(*tier, exact, first.size(), back.data()), "the tier decodes its block");
    fuzz_check(std::memcmp(back.data(), page, kPageSize) == 0, "the page comes back");
  }
}

}  // namespace pleat::fuzz
