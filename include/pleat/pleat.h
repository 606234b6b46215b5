/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* libpleat: codecs for pages of memory.
 *
 * A page is 4096 bytes. A pleat_codec is used by one thread at a time; different codecs may be used
 * by different threads at once. No call allocates memory after pleat_codec_open(). Sizes are in
 * bytes; errors are negative errno values. No buffer is read or written outside the bounds stated
 * here, whatever it holds.
 */
#ifndef PLEAT_PLEAT_H
#define PLEAT_PLEAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PLEAT_API __attribute__((visibility("default")))
#else
#define PLEAT_API
#endif

#define PLEAT_PAGE_SIZE 4096

typedef struct pleat_codec pleat_codec;

/* Opens a codec by its specification, "name[:level][,key=value...]".
 *
 *   lz4:N   the standard LZ4 block format: any LZ4 decoder reads its blocks, and it reads theirs.
 *           N, from fast and 2 to 5, trades speed for ratio and is 4 where it is left out.
 *   lz4hc   the same format, written by a search for the shortest block: about as short as liblz4's
 *           HC level 9, several times slower than lz4 to compress and about as fast to decompress.
 *   zstd:N  standard zstd frames (RFC 8878): any decoder of them reads its blocks, and it reads the
 *           frames of one page that others write. Shorter than LZ4, and slower both ways. N, fast
 *           or 1, 3, 9 or 19, trades speed for ratio and is 1 where it is left out.
 *   zstd,tables=canned  the same by tables of a built-in dictionary (docs/formats/zstd.md), which
 *           decoders of its frames need: faster both ways, and some 5 % longer.
 *   zstd,tables=mixed  by whichever tables are shortest, a block's own or the dictionary's.
 *   zstd,tables=...,dict=FILE  either by a dictionary that `pleat train` has made; canned where
 *           tables are not named. The file is read when the codec is opened, and not later.
 *   line:N  a format of our own (docs/formats/line.md) that is made for vectors; N, from 1 to 5,
 *           trades speed for ratio and is 3 where it is left out.
 *   line:N,fallback=lz4  line, and LZ4 for each page that line leaves long and LZ4 makes shorter;
 *           one more byte a block says which. A page that becomes no shorter is a block of
 *           PLEAT_PAGE_SIZE + 1 bytes.
 *
 * Stores the codec in *out and returns 0. Returns -EINVAL for a specification it does not know, a
 * file that is no dictionary for pages or a null argument, the error of opening or reading that
 * file (such as -ENOENT), -ENOMEM without memory, and -ENOTSUP where the environment's PLEAT_ISA
 * (scalar, avx2, avx512 or neon) names instructions that are unknown or that this processor lacks;
 * *out is null then. */
PLEAT_API int pleat_codec_open(const char* spec, pleat_codec** out);

/* Closes a codec. A null codec is allowed. */
PLEAT_API void pleat_codec_close(pleat_codec* codec);

/* The largest compressed size that pleat_compress_page() returns for any page, given enough room.
 */
PLEAT_API size_t pleat_codec_bound(const pleat_codec* codec);

/* Compresses one page to at most dst_capacity bytes at dst, which does not overlap the page.
 * Returns the compressed size, which is positive; 0 where the page does not fit in dst_capacity
 * (store it raw); -EINVAL for a null argument. What dst holds then, and behind the returned size,
 * is unspecified. */
PLEAT_API ssize_t pleat_compress_page(pleat_codec* codec, const void* page, void* dst,
                                      size_t dst_capacity);

/* Decompresses src_size bytes at src to one page, which does not overlap src. Returns 0 if src is
 * exactly one compressed page, else -EBADMSG, and the page is unspecified then; -EINVAL for a null
 * argument. */
PLEAT_API int pleat_decompress_page(pleat_codec* codec, const void* src, size_t src_size,
                                    void* page);

/* Compresses `count` pages, the i-th to dst[i] with dst_capacity bytes each. sizes[i] becomes what
 * pleat_compress_page() would return. Returns 0, or -EINVAL for a null argument. */
PLEAT_API int pleat_compress_pages(pleat_codec* codec, size_t count, const void* const* pages,
                                   void* const* dst, size_t dst_capacity, int32_t* sizes);

/* Decompresses `count` pages, the i-th from sizes[i] bytes at src[i]. errors[i] becomes what
 * pleat_decompress_page() would return, or -EINVAL for a negative size. Returns 0 if every page is
 * good, -EBADMSG if one is not, -EINVAL for a null argument. */
PLEAT_API int pleat_decompress_pages(pleat_codec* codec, size_t count, const void* const* src,
                                     const int32_t* sizes, void* const* pages, int* errors);

/* If all 512 aligned 8-byte words of the page are equal, stores the word in *pattern and returns 1;
 * else returns 0, and *pattern is unchanged. -EINVAL for a null argument. */
PLEAT_API int pleat_page_same_filled(const void* page, uint64_t* pattern);

/* The name of the instruction-set tier in use: scalar, avx2, avx512 or neon. A null pointer where
 * PLEAT_ISA names one that is unknown or that this processor lacks. */
PLEAT_API const char* pleat_isa(void);

/* The library's version, "0.1.0". */
PLEAT_API const char* pleat_version(void);

#ifdef __cplusplus
}
#endif

#endif /* PLEAT_PLEAT_H */
