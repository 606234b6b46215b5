/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Saves pages in a GPU's memory and brings them back, in C, by the example of docs/gpu.md. What is
 * in that memory is put there and read by libpleat-gpu alone. */
#include "example.c"

#include <stdlib.h>
#include <string.h>

enum { PAGES = 37, BATCH = 16, PAGE = 4096 };

/* Every page is a block of itself. */
static int upload(pleat_gpu* gpu, const char* from, char* to) {
  static uint32_t offsets[PAGES], sizes[PAGES];
  static uint8_t kinds[PAGES];
  uint8_t* statuses = pleat_gpu_host_alloc(gpu, PAGES);
  struct pleat_gpu_blocks blocks;
  int i, result;
  for (i = 0; i < PAGES; ++i) {
    offsets[i] = (uint32_t)i * PAGE / 16;
    sizes[i] = PAGE;
    kinds[i] = PLEAT_GPU_RAW;
  }
  blocks.blocks = (void*)from;
  blocks.bytes = PAGES * PAGE;
  blocks.offsets = offsets;
  blocks.sizes = sizes;
  blocks.kinds = kinds;
  result = pleat_gpu_decompress_to_device(gpu, NULL, PAGES, &blocks, to, statuses);
  if (result == 0) result = pleat_gpu_wait(gpu, NULL);
  for (i = 0; i < PAGES && result == 0; ++i) result = statuses[i];
  pleat_gpu_host_free(gpu, statuses);
  return result;
}

int main(int argc, char** argv) {
  struct pleat_gpu_options options = {sizeof(options), "line", 0, 4, 0};
  struct stage stage, all;
  const char* error = "";
  pleat_gpu* gpu;
  char *pages, *none, *back, *there;
  FILE* file = tmpfile();
  uint32_t random = 1, used;
  size_t i;

  if (argc > 1) options.codec = argv[1];
  if (pleat_gpu_open(&options, &gpu, &error) != 0) {
    fprintf(stderr, "%s\n", error);
    return 1;
  }
  /* Numbers that are near each other, and every fourth page of noise. */
  pages = pleat_gpu_host_alloc(gpu, PAGES * PAGE);
  none = pleat_gpu_host_alloc(gpu, PAGES * PAGE);
  back = pleat_gpu_host_alloc(gpu, PAGES * PAGE);
  there = pleat_gpu_device_alloc(gpu, PAGES * PAGE);
  if (!file || !pages || !none || !back || !there) return 2;
  for (i = 0; i < PAGES * PAGE; ++i) {
    random = random * 1664525u + 1013904223u;
    pages[i] = (char)(i / PAGE % 4 == 3 ? random >> 24 : i % 8 == 0 ? random >> 28 : 0);
  }
  memset(none, 0, PAGES * PAGE);
  if (make_stage(gpu, BATCH, &stage) != 0 || make_stage(gpu, PAGES, &all) != 0) return 3;

  if (upload(gpu, pages, there) != 0) return 4;
  if (save(gpu, NULL, there, PAGES, &stage, file) != 0) return 5;
  printf("%s: %d bytes of pages saved as %ld\n", options.codec, PAGES * PAGE, ftell(file));
  if (ftell(file) > PAGES * PAGE * 2 / 3) return 6;
  if (upload(gpu, none, there) != 0) return 7;
  rewind(file);
  if (load(gpu, NULL, there, PAGES, &stage, file) != 0) return 8;

  if (pleat_gpu_compress_from_device(gpu, NULL, PAGES, there, &all.blocks, &used) != 0) return 9;
  if (pleat_gpu_decompress_host(gpu, PAGES, &all.blocks, back, all.statuses) != 0) return 10;
  if (memcmp(back, pages, PAGES * PAGE) != 0) return 11;

  /* A file that ends too early says so. */
  if (load(gpu, NULL, there, PAGES, &stage, file) != -EBADMSG) return 12;
  pleat_gpu_close(gpu);
  fclose(file);
  return 0;
}
