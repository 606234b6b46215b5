/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* libpleat-gpu: batches of pages of memory, compressed and decompressed by a GPU.
 *
 * An optional library, which needs NVIDIA's driver at run time and nothing of CUDA besides. Blocks
 * are those of libpleat's codecs "line" and "lz4": each reads what the other writes. A page is 4096
 * bytes. Functions return 0 or a negative errno value; where it is -EIO, -ENODEV or -ENOMEM,
 * pleat_gpu_error() says what the driver said.
 *
 * A pleat_gpu is used by one thread at a time. After pleat_gpu_open() no call allocates memory, in
 * the machine's memory or in the GPU's.
 */
#ifndef PLEAT_PLEAT_GPU_H
#define PLEAT_PLEAT_GPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PLEAT_GPU_API __attribute__((visibility("default")))
#else
#define PLEAT_GPU_API
#endif

typedef struct pleat_gpu pleat_gpu;

/* What a page's block is. One of kind PLEAT_GPU_RAW has size 0, and the caller keeps the page; or
 * size 4096, and is the page as it is. */
#define PLEAT_GPU_BLOCK 0 /* a block of the codec */
#define PLEAT_GPU_SAME 1  /* an 8-byte word that the page consists of */
#define PLEAT_GPU_RAW 2   /* the page does not fit in the capacity */

/* What decompressing a page came to. */
#define PLEAT_GPU_OK 0
#define PLEAT_GPU_CORRUPT 1   /* no block of one page; the page's bytes are unspecified */
#define PLEAT_GPU_TOO_LARGE 2 /* a block of over 4096 bytes, which only the CPU decodes */
#define PLEAT_GPU_NO_BLOCK 3  /* there is none, or its kind is unknown; the page is not written */

struct pleat_gpu_options {
  size_t size;       /* sizeof(struct pleat_gpu_options) */
  const char* codec; /* "line", "lz4", or "lz4,decoder=plain" for LZ4's other decompressor */
  uint32_t device;   /* the driver's number of the GPU */
  uint32_t pages;    /* that are worked on at once, 1 to 1048576; larger batches are cut */
  uint32_t capacity; /* bytes of a block at most, a multiple of 16 up to 4096; 0 means 3072 */
};

/* The compressed side of a batch. Page i's block begins at blocks + 16 * offsets[i] and has
 * sizes[i] bytes; what is behind it up to the next multiple of 16 is part of `blocks` too, and
 * unspecified. */
struct pleat_gpu_blocks {
  void* blocks;      /* aligned to 16 */
  size_t bytes;      /* of blocks, a multiple of 16 */
  uint32_t* offsets; /* in units of 16 bytes, so that they reach 64 GiB */
  uint32_t* sizes;   /* both aligned to 4 */
  uint8_t* kinds;
};

struct pleat_gpu_info {
  size_t size; /* sizeof(struct pleat_gpu_info), set by the caller */
  char name[128];
  uint32_t compute_major;
  uint32_t compute_minor;
  uint32_t multiprocessors;
  uint64_t memory_bytes;
  uint32_t driver_version; /* of CUDA that the driver knows: 13000 for 13.0 */
  uint32_t emulated;       /* 1: a CPU stands in for the GPU, so that no time means anything */
};

/* Opens a GPU and allocates what its calls need: about 3 * pages * (capacity + 4096 * 2) bytes
 * there.
 *
 * -EINVAL: an option is out of range; -ENODEV: no driver, too old a driver, no such device, or one
 * that there are no kernels for; -ENOMEM; -EIO. Stores null in *out then, and in *error, which may
 * be null, a text that stays until this thread's next pleat_gpu_open(). */
PLEAT_GPU_API int pleat_gpu_open(const struct pleat_gpu_options* options, pleat_gpu** out,
                                 const char** error);
PLEAT_GPU_API void pleat_gpu_close(pleat_gpu* gpu);

/* What the driver said of the last call that failed; "" where none has. The text stays. */
PLEAT_GPU_API const char* pleat_gpu_error(const pleat_gpu* gpu);

PLEAT_GPU_API int pleat_gpu_get_info(const pleat_gpu* gpu, struct pleat_gpu_info* info);

/* Memory of the machine that the GPU reaches at the link's full speed; null where there is none. */
PLEAT_GPU_API void* pleat_gpu_host_alloc(pleat_gpu* gpu, size_t bytes);
PLEAT_GPU_API void pleat_gpu_host_free(pleat_gpu* gpu, void* memory);
/* Makes memory that the caller has, as what it shares with another process, such memory, until
 * pleat_gpu_host_unregister(), which it is to call before the memory goes. -EINVAL, -ENOMEM, -EIO;
 * the calls of this library then work with it all the same, slower. */
PLEAT_GPU_API int pleat_gpu_host_register(pleat_gpu* gpu, void* memory, size_t bytes);
PLEAT_GPU_API void pleat_gpu_host_unregister(pleat_gpu* gpu, void* memory);
/* Memory of the GPU. */
PLEAT_GPU_API void* pleat_gpu_device_alloc(pleat_gpu* gpu, size_t bytes);
PLEAT_GPU_API void pleat_gpu_device_free(pleat_gpu* gpu, void* memory);

/* Bytes of the GPU's memory to the machine's, and back, in a stream of the library's own; done on
 * return. The caller has waited for what it put into its streams. -EIO: the copy failed, and what
 * was written to is unspecified; -EINVAL: a null pointer. */
PLEAT_GPU_API int pleat_gpu_read(pleat_gpu* gpu, void* host, const void* device, size_t bytes);
PLEAT_GPU_API int pleat_gpu_write(pleat_gpu* gpu, void* device, const void* host, size_t bytes);

/* Device to device: all pointers, those in *blocks too, are to memory of the GPU. The work is put
 * into the caller's stream (a cudaStream_t; null is the default one), and the call returns before
 * it is done: the caller waits for the stream. Calls may use different
 * streams: each waits in its own for what earlier ones put into others.
 *
 * compress: blocks->bytes is at least count * capacity, the worst case. *used, in the GPU's memory,
 * becomes the number of 16-byte units that were used; same pages give the same bytes.
 * decompress: statuses has PLEAT_GPU_OK or why not, for each page; one bad block harms no other
 * page.
 *
 * -EINVAL: a null pointer, bytes that are too few, what is not aligned, or a count for which
 * offsets of 32 bits do not reach.
 */
PLEAT_GPU_API int pleat_gpu_compress(pleat_gpu* gpu, void* stream, uint32_t count,
                                     const void* pages, const struct pleat_gpu_blocks* blocks,
                                     uint32_t* used);
PLEAT_GPU_API int pleat_gpu_decompress(pleat_gpu* gpu, void* stream, uint32_t count,
                                       const struct pleat_gpu_blocks* blocks, void* pages,
                                       uint8_t* statuses);

/* Host to host: all pointers are to the machine's memory, and the call returns when the work is
 * done. Pages cross the link in parts, while others are worked on; blocks cross it packed. Memory
 * of pleat_gpu_host_alloc() is copied at the link's speed, other memory slower. */
PLEAT_GPU_API int pleat_gpu_compress_host(pleat_gpu* gpu, uint32_t count, const void* pages,
                                          const struct pleat_gpu_blocks* blocks, uint32_t* used);
PLEAT_GPU_API int pleat_gpu_decompress_host(pleat_gpu* gpu, uint32_t count,
                                            const struct pleat_gpu_blocks* blocks, void* pages,
                                            uint8_t* statuses);

/* Host to device: blocks in the machine's memory become pages in the GPU's, in the caller's stream.
 * The statuses are in the GPU's memory too, or of pleat_gpu_host_alloc(). The blocks may be changed
 * once the stream has come to the end of this call. Waits for the stream where the batch is larger
 * than three times options.pages, and for what earlier calls put into any. */
PLEAT_GPU_API int pleat_gpu_decompress_to_device(pleat_gpu* gpu, void* stream, uint32_t count,
                                                 const struct pleat_gpu_blocks* blocks, void* pages,
                                                 uint8_t* statuses);

/* Device to host: pages in the GPU's memory become blocks in the machine's, so that only blocks
 * cross the link. The pages are read after what is in the stream so far, and the call returns when
 * the work is done. They cross in parts, while others are compressed. Blocks are those of
 * pleat_gpu_compress_host(), and a page that does not fit in the capacity is one too: its kind is
 * PLEAT_GPU_RAW, its size 4096. So all pages are in the blocks, and each of the functions above
 * brings them back.
 *
 * blocks->bytes is whatever there is; count * 4096 are always enough. -ENOSPC: the blocks need
 * more. *used then says how many units, offsets, sizes and kinds are as they would be, and the
 * blocks are unspecified. -EINVAL: as above, but for bytes that are too few. */
PLEAT_GPU_API int pleat_gpu_compress_from_device(pleat_gpu* gpu, void* stream, uint32_t count,
                                                 const void* pages,
                                                 const struct pleat_gpu_blocks* blocks,
                                                 uint32_t* used);

struct pleat_gpu_rates {
  size_t size; /* sizeof(struct pleat_gpu_rates), set by the caller */
  /* 1e9 bytes of pages a second, medians over the repeats. */
  double to_device;   /* the link, from memory of pleat_gpu_host_alloc() */
  double from_device; /* and back */
  double compress;    /* device to device, packing included */
  double decompress;
  double compress_host; /* host to host */
  double decompress_host;
  double latency_us; /* of a host to host call of the first page, the slower direction */
  double ratio;      /* bytes of the pages for each byte of blocks; pages without one count whole */
  uint32_t raw;      /* pages without a block */
  uint32_t same;     /* pages that consist of one word */
  /* End to end, to and from blocks in the machine's memory; as pages, these would take the link's
   * rates. Written where `size` has room for them. */
  double compress_from_device;
  double decompress_to_device;
};

/* Measures on pages in the machine's memory, `repeats` times each, by the GPU's own clock where all
 * is in its memory. Every page is decompressed and compared, those without a block where they are
 * saved as they are: -EBADMSG where one is not what it was. Allocates: about count * 8192 bytes on
 * both sides, and the pages once more here. */
PLEAT_GPU_API int pleat_gpu_measure(pleat_gpu* gpu, uint32_t count, const void* pages,
                                    uint32_t repeats, struct pleat_gpu_rates* rates);

/* What a policy that chooses codecs wants to know of a page. */
struct pleat_gpu_page_features {
  uint16_t look;             /* 0: words of memory; 1: text, pixels and the like; 2: noise */
  uint16_t zero_bytes;       /* of 4096 */
  uint16_t zero_words;       /* words of 8 bytes, of 512 */
  uint16_t repeated_words;   /* words equal to the one 64 bytes before, of 504 */
  uint16_t high_nibbles[16]; /* bytes by their 4 high bits, of 4096 */
};

/* Device to device, in the caller's stream; features are aligned to 8. */
PLEAT_GPU_API int pleat_gpu_features(pleat_gpu* gpu, void* stream, uint32_t count,
                                     const void* pages, struct pleat_gpu_page_features* features);

/* Waits until a stream has done all that was put into it: -EIO where some of it failed. */
PLEAT_GPU_API int pleat_gpu_wait(pleat_gpu* gpu, void* stream);

#ifdef __cplusplus
}
#endif

#endif
