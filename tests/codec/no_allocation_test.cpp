// SPDX-License-Identifier: MIT OR Apache-2.0
// Every allocation of this process is counted, libpleat.so's among them: after open there is none.
#include <gtest/gtest.h>
#include <pleat/pleat.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include "codec/sample_pages.h"

namespace {
thread_local std::uint64_t allocation_count = 0;
}

#if defined(PLEAT_SANITIZED)
// Sanitizers have malloc for themselves; operator new is still ours.
// Not inlined: g++ takes an inlined free() of what an uninlined operator new gave for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocation_count;
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#else
// Visible, so that the shared library's calls come here too.
#pragma GCC visibility push(default)
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
  ++allocation_count;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++allocation_count;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
  ++allocation_count;
  return __libc_realloc(memory, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocation_count;
  return __libc_memalign(alignment, size);
}
}
#pragma GCC visibility pop
#endif

namespace {

void allocates_nothing_after_open(const char* spec) {
  const auto pages = pleat::test::synthetic_pages();
  const std::uint64_t before_open = allocation_count;
  pleat_codec* codec = nullptr;
  ASSERT_EQ(pleat_codec_open(spec, &codec), 0);
#if !defined(PLEAT_SANITIZED)
  // The count does see the library.
  ASSERT_GT(allocation_count, before_open);
#else
  (void)before_open;
#endif
  static std::byte block[8192];
  static std::byte page[PLEAT_PAGE_SIZE];
  std::uint64_t word = 0;
  std::uint64_t failures = 0;
  const std::uint64_t before = allocation_count;
  for (const auto& sample : pages) {
    const void* from = sample.bytes.data();
    void* to = block;
    void* back = page;
    const void* src = block;
    std::int32_t size = 0;
    int error = 0;
    for (const std::size_t capacity : {std::size_t{0}, std::size_t{1024}, sizeof(block)}) {
      failures += pleat_compress_pages(codec, 1, &from, &to, capacity, &size) != 0;
    }
    failures += pleat_decompress_pages(codec, 1, &src, &size, &back, &error) != 0;
    failures += pleat_decompress_page(codec, block, static_cast<std::size_t>(size) - 1, page) == 0;
    failures += pleat_page_same_filled(from, &word) < 0;
  }
  EXPECT_EQ(allocation_count, before) << spec;
  EXPECT_EQ(failures, 0u);
  pleat_codec_close(codec);
}

TEST(NoAllocation, AfterOpen) {
  for (const char* spec :
       {"lz4", "lz4hc", "line", "line,fallback=lz4", "zstd", "zstd:fast", "zstd:3", "zstd:9",
        "zstd:19", "zstd,tables=canned", "zstd,tables=mixed"}) {
    SCOPED_TRACE(spec);
    allocates_nothing_after_open(spec);
  }
}

}  // namespace
