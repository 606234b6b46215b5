/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Compresses a page and gets it back, in C. */
#include <pleat/pleat.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  static unsigned char page[PLEAT_PAGE_SIZE], back[PLEAT_PAGE_SIZE], block[8192];
  pleat_codec* codec;
  ssize_t size;
  size_t i;

  for (i = 0; i < sizeof(page); ++i) page[i] = (unsigned char)(i * i >> 9);
  if (pleat_codec_open("lz4", &codec) != 0) return 1;
  if (pleat_codec_bound(codec) > sizeof(block)) return 2;
  size = pleat_compress_page(codec, page, block, sizeof(block));
  if (size <= 0) return 3;
  if (pleat_decompress_page(codec, block, (size_t)size, back) != 0) return 4;
  if (memcmp(page, back, sizeof(page)) != 0) return 5;
  pleat_codec_close(codec);
  printf("C, version %s, %s: %zd bytes\n", pleat_version(), pleat_isa(), size);
  return 0;
}
