// SPDX-License-Identifier: MIT OR Apache-2.0
// What tools/arm64-instructions counts: each codec's passes over sets of pages, as two tables whose
// figures counter.cpp writes. A figure includes about 40 instructions a page for the calls.
//   passes EVERY FILE...      (one page of EVERY)
#define LZ4_STATIC_LINKING_ONLY
#include <lz4.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/page.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "marks.h"

namespace pleat {
namespace {

constexpr std::size_t kRoom = 5000;  // for the block of any page

struct PageSet {
  std::string name;
  std::vector<std::byte> pages;
  std::size_t count() const { return pages.size() / kPageSize; }
};

PageSet read_set(const std::filesystem::path& path, std::size_t every) {
  PageSet set{path.stem().string(), {}};
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> page(kPageSize);
  for (std::size_t i = 0; file.read(reinterpret_cast<char*>(page.data()), kPageSize); ++i) {
    if (i % every == 0) set.pages.insert(set.pages.end(), page.begin(), page.end());
  }
  if (set.pages.empty()) {
    std::fprintf(stderr, "%s: no pages\n", path.c_str());
    std::exit(1);
  }
  return set;
}

struct Subject {
  std::string name;
  std::function<std::size_t(const std::byte* page, std::byte* block)> compress;
  std::function<bool(const std::byte* block, std::size_t size, std::byte* page)> decompress;
};

Subject liblz4() {
  auto state = std::make_shared<std::vector<char>>(static_cast<std::size_t>(LZ4_sizeofState()));
  LZ4_initStream(state->data(), state->size());
  return {std::string("liblz4 ") + LZ4_versionString(),
          [state](const std::byte* page, std::byte* block) {
            return static_cast<std::size_t>(LZ4_compress_fast_extState_fastReset(
                state->data(), reinterpret_cast<const char*>(page), reinterpret_cast<char*>(block),
                kPageSize, kRoom, 1));
          },
          [](const std::byte* block, std::size_t size, std::byte* page) {
            return LZ4_decompress_safe(reinterpret_cast<const char*>(block),
                                       reinterpret_cast<char*>(page), static_cast<int>(size),
                                       kPageSize) == kPageSize;
          }};
}

Subject of_codec(const char* spec, const char* tier) {
  const auto kernels = codec::select_kernels(tier);
  auto codec = std::make_shared<codec::PageCodec>(*codec::PageCodec::open(spec, **kernels));
  return {std::string(spec) + "/" + tier,
          [codec](const std::byte* page, std::byte* block) {
            return codec->compress(page, block, kRoom);
          },
          [codec](const std::byte* block, std::size_t size, std::byte* page) {
            return codec->decompress(block, size, page);
          }};
}

void count_compression(const Subject& subject, const PageSet& set, std::vector<std::byte>& blocks,
                       std::vector<std::size_t>& sizes) {
  blocks.resize(kRoom * set.count());
  sizes.resize(set.count());
  syscall(kMarkBegin);
  for (std::size_t i = 0; i < set.count(); ++i) {
    sizes[i] = subject.compress(&set.pages[kPageSize * i], &blocks[kRoom * i]);
  }
  syscall(kMarkEnd, set.count());
}

void count_decompression(const Subject& subject, const PageSet& set,
                         const std::vector<std::byte>& blocks,
                         const std::vector<std::size_t>& sizes) {
  std::vector<std::byte> pages(set.pages.size());
  syscall(kMarkBegin);
  for (std::size_t i = 0; i < set.count(); ++i) {
    if (!subject.decompress(&blocks[kRoom * i], sizes[i], &pages[kPageSize * i])) break;
  }
  syscall(kMarkEnd, set.count());
  if (pages != set.pages) {
    std::printf("\n");
    std::fprintf(stderr, "%s does not give back a page of %s\n", subject.name.c_str(),
                 set.name.c_str());
    std::exit(1);
  }
}

// Blocks by subject and set, with their sizes.
struct Blocks {
  std::vector<std::byte> bytes;
  std::vector<std::size_t> sizes;
};

void print_table(const char* title, const std::vector<Subject>& subjects,
                 const std::vector<PageSet>& sets,
                 const std::function<void(std::size_t subject, std::size_t set)>& count) {
  std::printf("| %s |", title);
  for (const PageSet& set : sets) std::printf(" %s |", set.name.c_str());
  std::printf(" mean |\n|---|");
  for (std::size_t i = 0; i <= sets.size(); ++i) std::printf("---:|");
  std::printf("\n");
  for (std::size_t subject = 0; subject < subjects.size(); ++subject) {
    std::printf("| %s |", subjects[subject].name.c_str());
    std::fflush(stdout);
    for (std::size_t set = 0; set < sets.size(); ++set) count(subject, set);
    syscall(kMarkRow);
    std::printf("\n");
  }
  std::printf("\n");
}

}  // namespace
}  // namespace pleat

int main(int argc, char** argv) {
  using namespace pleat;
  if (argc < 3) return 2;
  std::vector<PageSet> sets;
  for (int i = 2; i < argc; ++i) sets.push_back(read_set(argv[i], std::stoul(argv[1])));
  std::vector<Subject> subjects = {liblz4()};
  for (const char* tier : {"scalar", "neon"}) {
    subjects.push_back(of_codec("lz4", tier));
    subjects.push_back(of_codec("line", tier));
  }
  for (const char* spec : {"line:1", "line:5", "line,fallback=lz4"}) {
    subjects.push_back(of_codec(spec, "neon"));
  }
  std::vector<std::vector<Blocks>> blocks(subjects.size(), std::vector<Blocks>(sets.size()));
  print_table("Compress", subjects, sets, [&](std::size_t subject, std::size_t set) {
    Blocks& of = blocks[subject][set];
    count_compression(subjects[subject], sets[set], of.bytes, of.sizes);
  });
  print_table("Decompress", subjects, sets, [&](std::size_t subject, std::size_t set) {
    const Blocks& of = blocks[subject][set];
    count_decompression(subjects[subject], sets[set], of.bytes, of.sizes);
  });
}
