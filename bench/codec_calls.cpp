// SPDX-License-Identifier: MIT OR Apache-2.0
// What tools/instruction-counts runs under callgrind: each codec compresses and decompresses a file
// of pages, once, in every tier that the processor has.
//
//     codec_calls PAGES CODEC...
//
// A CODEC is a specification, "same-filled", "liblz4" or "libzstd". The first line names the
// compiler and its flags; then there is one line for each call of count_compress() and
// count_decompress(), in order:
//
//     TIER CODEC compress|decompress PAGES COMPRESSED_BYTES
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/page.h"
#include "codec/kernels.h"
#include "tool/codec_subject.h"

namespace {

using pleat::kPageSize;
using pleat::codec::Kernels;
using pleat::tool::CodecSubject;

// What else than a specification may be asked for.
constexpr std::string_view kSameFilled = "same-filled";
constexpr std::string_view kLiblz4 = "liblz4";
constexpr std::string_view kLibzstd = "libzstd";

// More than any codec makes of a page; `size` bytes of it are used.
struct Block {
  std::size_t size = 0;
  std::array<std::byte, 2 * kPageSize> bytes;
};

struct alignas(64) Page {
  std::array<std::byte, kPageSize> bytes;
  bool operator==(const Page&) const = default;
};

}  // namespace

// callgrind writes down its counters where these two begin and end. It finds them by name, so they
// are not inlined and their names are not mangled.
extern "C" {

[[gnu::noinline]] void count_compress(const CodecSubject& subject, const std::vector<Page>& pages,
                                      std::vector<Block>& blocks) {
  for (std::size_t i = 0; i < pages.size(); ++i) {
    Block& block = blocks[i];
    block.size = subject.compress(pages[i].bytes.data(), block.bytes.data(), block.bytes.size());
  }
}

// Stops at the first block that is no page.
[[gnu::noinline]] void count_decompress(const CodecSubject& subject,
                                        const std::vector<Block>& blocks,
                                        std::vector<Page>& pages) {
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (!subject.decompress(blocks[i].bytes.data(), blocks[i].size, pages[i].bytes.data())) return;
  }
}

}  // extern "C"

namespace {

bool is_peer(std::string_view name) { return name == kLiblz4 || name == kLibzstd; }

// What the store does with a page of equal words: compressing it is the scan that finds the word,
// and decompressing it fills a page.
CodecSubject same_filled_subject(const Kernels& kernels) {
  CodecSubject subject;
  subject.name = kSameFilled;
  subject.isa = kernels.name;
  subject.compress = [&kernels](const std::byte* page, std::byte* dst, std::size_t) {
    std::uint64_t pattern = 0;
    if (!kernels.same_filled(page, &pattern)) return std::size_t{0};
    std::memcpy(dst, &pattern, sizeof(pattern));
    return sizeof(pattern);
  };
  subject.decompress = [&kernels](const std::byte* src, std::size_t size, std::byte* page) {
    std::uint64_t pattern = 0;
    if (size != sizeof(pattern)) return false;
    std::memcpy(&pattern, src, sizeof(pattern));
    kernels.fill(page, pattern);
    return true;
  };
  return subject;
}

std::vector<Page> read_pages(const char* path) {
  std::vector<Page> pages;
  std::ifstream in(path, std::ios::binary);
  Page page;
  while (in.read(reinterpret_cast<char*>(page.bytes.data()), kPageSize)) pages.push_back(page);
  return pages;
}

// As many pages of equal words as there are pages; the words differ from page to page.
std::vector<Page> same_filled_pages(std::size_t count, const Kernels& kernels) {
  std::vector<Page> pages(count);
  for (std::size_t i = 0; i < count; ++i) kernels.fill(pages[i].bytes.data(), i);
  return pages;
}

// Whether each page came back as it was; where not, the counts are those of a fault.
bool call(const char* name, const CodecSubject& subject, const std::vector<Page>& pages) {
  std::vector<Block> blocks(pages.size());
  std::vector<Page> back(pages.size());
  count_compress(subject, pages, blocks);
  count_decompress(subject, blocks, back);
  std::size_t bytes = 0;
  for (const Block& block : blocks) bytes += block.size;
  for (const char* direction : {"compress", "decompress"}) {
    std::printf("%s %s %s %zu %zu\n", subject.isa.empty() ? "-" : subject.isa.c_str(), name,
                direction, pages.size(), bytes);
  }
  if (back == pages) return true;
  std::fprintf(stderr, "codec_calls: %s: a page does not come back as it was\n", name);
  return false;
}

bool call_in_tier(const char* name, const Kernels& tier, const std::vector<Page>& pages) {
  if (std::string_view(name) == kSameFilled) {
    return call(name, same_filled_subject(tier), same_filled_pages(pages.size(), tier));
  }
  const auto subject = pleat::tool::pleat_subject(name, tier);
  if (subject) return call(name, *subject, pages);
  std::fprintf(stderr, "codec_calls: %s\n", subject.error().message.c_str());
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: codec_calls PAGES CODEC...\n");
    return 2;
  }
  const std::vector<Page> pages = read_pages(argv[1]);
  if (pages.empty()) {
    std::fprintf(stderr, "codec_calls: %s: no page can be read\n", argv[1]);
    return 1;
  }
  std::puts(PLEAT_BUILT_BY);
  const std::span<char*> codecs(argv + 2, static_cast<std::size_t>(argc - 2));
  for (const Kernels* tier : pleat::codec::available_kernels()) {
    for (const char* name : codecs) {
      if (!is_peer(name) && !call_in_tier(name, *tier, pages)) return 1;
    }
  }
  // Peers have no tiers.
  for (const char* name : codecs) {
    if (name == kLiblz4 && !call(name, pleat::tool::liblz4_subject(), pages)) return 1;
    if (name == kLibzstd && !call(name, pleat::tool::libzstd_subject(1), pages)) return 1;
  }
  return 0;
}
