// SPDX-License-Identifier: MIT OR Apache-2.0
// The same in C++17.
#include <cstdio>
#include <cstring>
#include <pleat/pleat.hpp>
#include <vector>

int main() {
  std::vector<unsigned char> page(PLEAT_PAGE_SIZE, 7);
  std::vector<unsigned char> back(PLEAT_PAGE_SIZE);
  if (pleat::same_filled(page.data()) != 0x0707070707070707u) return 1;
  page[100] = 8;
  pleat::Codec codec("lz4");
  std::vector<unsigned char> block(codec.bound());
  const auto size = codec.compress(page.data(), block.data(), block.size());
  if (!size || !codec.decompress(block.data(), *size, back.data()) || page != back) return 2;
  std::printf("C++, version %s: %zu bytes\n", pleat_version(), *size);
}
