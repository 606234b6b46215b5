// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/sample_pages.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

namespace pleat::test {
namespace {

void read_pages(const std::filesystem::path& file, std::size_t count,
                std::vector<SamplePage>& pages) {
  std::ifstream in(file, std::ios::binary);
  SamplePage page;
  const std::size_t available = std::filesystem::file_size(file) / kPageSize;
  const std::size_t stride = std::max<std::size_t>(1, available / count);
  for (std::size_t i = 0; i < available; i += stride) {
    in.seekg(static_cast<std::streamoff>(i * kPageSize));
    if (!in.read(reinterpret_cast<char*>(page.bytes.data()), kPageSize)) break;
    page.name = file.filename().string() + " page " + std::to_string(i);
    pages.push_back(page);
  }
}

class Builder {
 public:
  template <typename ByteAt>
  void add(const std::string& name, ByteAt byte_at) {
    SamplePage page;
    page.name = name;
    for (std::size_t i = 0; i < kPageSize; ++i) page.bytes[i] = static_cast<std::byte>(byte_at(i));
    pages.push_back(page);
  }

  // Random bytes in which each (at, from, length) repeats `length` bytes of `from` at `at`.
  void add_copies(const std::string& name, const std::vector<std::array<std::size_t, 3>>& copies) {
    SamplePage page;
    page.name = name;
    for (std::byte& byte : page.bytes) byte = static_cast<std::byte>(random());
    for (const auto& [at, from, length] : copies) {
      for (std::size_t i = 0; i < length; ++i) page.bytes[at + i] = page.bytes[from + i];
    }
    pages.push_back(page);
  }

  std::mt19937 random{4096};
  std::vector<SamplePage> pages;
};

}  // namespace

std::vector<SamplePage> real_pages(std::size_t per_corpus) {
  const std::filesystem::path root = PLEAT_SOURCE_DIR;
  std::vector<SamplePage> pages;
  read_pages(root / "tests/data/codec/real.pages", 1000, pages);
  std::error_code missing;
  for (const auto& entry :
       std::filesystem::directory_iterator(root / "../shared/corpora", missing)) {
    if (entry.path().extension() == ".pages") read_pages(entry.path(), per_corpus, pages);
  }
  return pages;
}

std::vector<SamplePage> synthetic_pages() {
  Builder builder;
  auto& random = builder.random;
  builder.add("zeros", [](std::size_t) { return 0; });
  builder.add("ones", [](std::size_t) { return 255; });
  builder.add("counting", [](std::size_t i) { return i; });
  builder.add("counting words", [](std::size_t i) {
    return i % 8 == 0 ? i / 8 : i % 8 == 1 ? i >> 11 : 0;
  });
  for (std::size_t period = 1; period <= 64; ++period) {
    std::array<unsigned, 64> pattern;
    for (unsigned& byte : pattern) byte = static_cast<unsigned>(random() & 255);
    builder.add("period " + std::to_string(period),
                [&](std::size_t i) { return pattern[i % period]; });
  }
  for (unsigned distinct : {2u, 3u, 4u, 16u, 64u, 256u}) {
    for (int i = 0; i < 4; ++i) {
      builder.add("random of " + std::to_string(distinct),
                  [&](std::size_t) { return random() % distinct; });
    }
  }
  for (std::size_t at : {0, 1, 7, 100, 4083, 4084, 4085, 4090, 4091, 4095}) {
    builder.add("one byte at " + std::to_string(at),
                [&](std::size_t i) { return i == at ? 1 : 0; });
  }
  for (unsigned gap : {3u, 10u, 40u, 300u}) {
    builder.add("sparse, one in " + std::to_string(gap),
                [&](std::size_t) { return random() % gap == 0 ? random() & 255 : 0; });
  }
  for (std::size_t random_bytes = 8; random_bytes < kPageSize; random_bytes += 211) {
    builder.add("zeros behind " + std::to_string(random_bytes) + " random",
                [&](std::size_t i) { return i < random_bytes ? random() : 0; });
    builder.add(std::to_string(random_bytes) + " random behind zeros",
                [&](std::size_t i) { return i >= kPageSize - random_bytes ? random() : 0; });
  }
  // Where lengths change their encoding: 15 in the token, 255 more in each byte.
  for (std::size_t length : {4,  5,  6,  7,   8,   17,  18,  19,  20,  21,  31,   32,  33,
                             63, 64, 65, 272, 273, 274, 275, 528, 529, 530, 1000, 2000}) {
    builder.add_copies("match of " + std::to_string(length), {{2048, 3, length}});
    builder.add_copies("match of " + std::to_string(length) + " up to the end",
                       {{kPageSize - length, 1000, length}});
    builder.add_copies("match of " + std::to_string(length) + " near the end",
                       {{kPageSize - length - 5, 900, length}});
  }
  for (std::size_t literals :
       {0, 1, 13, 14, 15, 16, 17, 30, 31, 32, 33, 268, 269, 270, 271, 524, 525, 526}) {
    builder.add_copies("literal run of " + std::to_string(literals),
                       {{1000, 10, 40}, {1040 + literals, 500, 40}});
  }
  for (std::size_t at = kPageSize - 24; at + 6 <= kPageSize; ++at) {
    builder.add_copies("match that starts at " + std::to_string(at), {{at, 64, kPageSize - at}});
  }
  return std::move(builder.pages);
}

std::vector<SampleGroup> sample_groups() {
  std::vector<SampleGroup> groups;
  auto pages = real_pages(24);
  for (auto& page : synthetic_pages()) pages.push_back(page);
  constexpr std::array<std::array<std::size_t, kGroupPages>, 4> kChoices = {
      {{0, 1, 2, 3}, {0, 0, 1, 0}, {0, 1, 0, 1}, {2, 2, 2, 2}}};
  for (std::size_t i = 0; i + kGroupPages <= pages.size(); i += 2) {
    SampleGroup group;
    group.name = pages[i].name + " and behind, choice " + std::to_string(i / 2 % kChoices.size());
    for (std::size_t k = 0; k < kGroupPages; ++k) {
      const SamplePage& page = pages[i + kChoices[i / 2 % kChoices.size()][k]];
      std::memcpy(group.bytes.data() + k * kPageSize, page.bytes.data(), kPageSize);
    }
    groups.push_back(group);
  }
  std::mt19937 random(1);
  for (const std::size_t period : {1u, 3u, 700u, 4095u, 4097u, 9000u}) {
    SampleGroup group;
    group.name = "period " + std::to_string(period);
    for (std::size_t i = 0; i < kGroupBytes; ++i) {
      group.bytes[i] = i < period ? static_cast<std::byte>(random()) : group.bytes[i - period];
    }
    groups.push_back(group);
  }
  return groups;
}

}  // namespace pleat::test
