// SPDX-License-Identifier: MIT OR Apache-2.0
// A page and a capacity made of any bytes: all tiers find the same block, which is exactly the page
// for the reference decoder and for every tier's decoder; and what does not fit writes nothing
// behind the capacity.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/lz4/format.h"
#include "fuzz_target.h"
#include "reference/lz4_reference.h"

namespace {

using Page = std::array<std::byte, pleat::kPageSize>;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  std::size_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::size_t word() {
    const std::size_t low = byte();
    return low | byte() << 8;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

// Reads the input as steps that each append to the page: bytes as they are, a copy of what is
// there, pseudo-random bytes, or a run. So a few bytes make pages that take many bytes to write.
Page build_page(Input& input) {
  Page page = {};
  std::size_t at = 0;
  std::uint32_t random = 1;
  while (!input.empty() && at < page.size()) {
    const std::size_t step = input.byte();
    const std::size_t count =
        std::min(page.size() - at, (step & 4) != 0 ? input.word() % 600 + 1 : (step >> 3) + 1);
    const std::size_t distance = (step & 3) == 1 && at > 0 ? input.word() % at + 1 : 1;
    const auto run = (step & 3) == 3 ? static_cast<std::byte>(input.byte()) : std::byte{0};
    for (const std::size_t end = at + count; at < end; ++at) {
      random = random * 1664525 + 1013904223;
      switch (step & 3) {
        case 0:
          page[at] = static_cast<std::byte>(input.byte());
          break;
        case 1:
          if (at > 0) page[at] = page[at - distance];
          break;
        case 2:
          page[at] = static_cast<std::byte>(random >> 24);
          break;
        default:
          page[at] = run;
      }
    }
  }
  return page;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pleat::codec;
  static const pleat::test::GuardedBuffer page_memory;
  static const pleat::test::GuardedBuffer block_memory;
  static const auto workspace = std::make_unique<Lz4Workspace>();

  Input input(data, size);
  const std::size_t capacity = input.word() % (kLz4Bound + 1);
  const unsigned level = 1 + static_cast<unsigned>(input.word() % kLz4Levels);
  const Page built = build_page(input);
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
    Page back;
    fuzz_check(tier->lz4_decompress(block, block_size, back.data()), "the tier decodes its block");
    fuzz_check(std::memcmp(back.data(), page, pleat::kPageSize) == 0, "the page comes back");

    const std::size_t limited =
        tier->lz4_compress(page, block_memory.last(capacity), capacity, level, *workspace);
    fuzz_check(limited == (capacity < first_size ? 0 : first_size),
               "a block is refused only where it does not fit");
  }
  return 0;
}
