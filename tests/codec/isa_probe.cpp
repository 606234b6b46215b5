// SPDX-License-Identifier: MIT OR Apache-2.0
// Prints the tier that this process would use, after a round trip in it; isa_test runs it under
// several environments and processors.
#include <cstdio>
#include <cstring>
#include <vector>

#include "codec/page_codec.h"

int main() {
  const auto kernels = pleat::codec::select_kernels();
  if (!kernels) {
    std::fprintf(stderr, "%s\n", kernels.error().message.c_str());
    return 1;
  }
  auto codec = pleat::codec::PageCodec::open("lz4", **kernels);
  if (!codec) return 2;
  std::byte page[pleat::kPageSize];
  std::byte back[pleat::kPageSize];
  std::vector<std::byte> block(codec->bound());
  for (std::size_t i = 0; i < sizeof(page); ++i) page[i] = static_cast<std::byte>(i * i >> 7);
  const std::size_t size = codec->compress(page, block.data(), block.size());
  if (size == 0 || !codec->decompress(block.data(), size, back)) return 3;
  if (std::memcmp(page, back, sizeof(page)) != 0) return 4;
  std::uint64_t word = 0;
  (*kernels)->fill(page, 42);
  if (!(*kernels)->same_filled(page, &word) || word != 42) return 5;
  std::puts((*kernels)->name);
}
