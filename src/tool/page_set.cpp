// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/page_set.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <random>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/unique_fd.h"

namespace pleat::tool {
namespace {

void count_same_filled(PageSet& set) {
  for (std::size_t i = 0; i < set.count; ++i) set.same_filled += same_filled(set.page(i)) ? 1 : 0;
}

Result<PageSet> load_file(const std::string& path, std::size_t pages_max, std::uint64_t seed) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error("cannot open " + path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error("cannot stat " + path);
  if (!S_ISREG(status.st_mode)) return Error{EINVAL, path + " is not a regular file"};
  const std::size_t total = static_cast<std::size_t>(status.st_size) / kPageSize;
  if (total == 0) return Error{ENODATA, path + " holds less than one page of 4096 bytes"};

  PageSet set;
  set.name = std::filesystem::path(path).stem().string();
  const std::vector<std::size_t> wanted = uniform_sample(total, pages_max, seed);
  set.count = wanted.size();
  set.memory = PageBuffer(set.count * kPageSize);
  for (std::size_t i = 0; i < set.count; ++i) {
    const auto offset = static_cast<off_t>(wanted[i] * kPageSize);
    const ssize_t bytes = ::pread(fd.get(), set.memory.page(i), kPageSize, offset);
    if (bytes < 0) return errno_error("cannot read " + path);
    if (bytes != kPageSize) return Error{EIO, path + " became shorter while it was read"};
  }
  count_same_filled(set);
  return set;
}

std::byte printable(std::mt19937_64& random) {
  return static_cast<std::byte>(' ' + random() % ('~' - ' ' + 1));
}

// The printable characters of ASCII in their order, over and over.
void fill_text(std::span<std::byte> out, std::mt19937_64& random) {
  const std::uint64_t first = random();
  for (std::size_t at = 0; at < out.size(); ++at) {
    out[at] = static_cast<std::byte>(' ' + (first + at) % ('~' - ' ' + 1));
  }
}

// Words drawn from a vocabulary, the nearer its front the more often.
void fill_words(std::span<std::byte> out, std::mt19937_64& random) {
  constexpr std::size_t kWords = 64;
  constexpr std::size_t kWordBytes = 12;
  std::array<std::array<std::byte, kWordBytes>, kWords> words;
  for (auto& word : words) {
    for (std::byte& letter : word) letter = printable(random);
  }
  for (std::size_t at = 0; at < out.size();) {
    const std::uint64_t draw = random();
    const auto& word = words[(draw % kWords) * (draw / kWords % kWords) / kWords];
    const std::size_t length = std::min(out.size() - at, 3 + (draw >> 32) % (kWordBytes - 3));
    std::copy_n(word.begin(), length, out.begin() + static_cast<std::ptrdiff_t>(at));
    at += length;
  }
}

void fill_random(std::span<std::byte> out, std::mt19937_64& random) {
  for (std::size_t at = 0; at + 8 <= out.size(); at += 8) put<std::uint64_t>(&out[at], random());
}

}  // namespace

bool same_filled(const std::byte* page) {
  return std::memcmp(page, page + sizeof(std::uint64_t), kPageSize - sizeof(std::uint64_t)) == 0;
}

std::vector<std::size_t> uniform_sample(std::size_t total, std::size_t count, std::uint64_t seed) {
  std::vector<std::size_t> chosen;
  if (count >= total) {
    chosen.resize(total);
    std::iota(chosen.begin(), chosen.end(), std::size_t{0});
    return chosen;
  }
  // Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S): number i is
  // taken with the probability that is left to it, so the sample comes out in order.
  std::mt19937_64 random(seed);
  chosen.reserve(count);
  for (std::size_t i = 0; i < total && chosen.size() < count; ++i) {
    std::uniform_int_distribution<std::size_t> draw(0, total - i - 1);
    if (draw(random) < count - chosen.size()) chosen.push_back(i);
  }
  return chosen;
}

Result<std::vector<PageSet>> load_page_sets(const std::string& path, std::size_t pages_max,
                                            std::uint64_t seed) {
  std::vector<std::string> files;
  std::error_code failure;
  if (std::filesystem::is_directory(path, failure)) {
    for (const auto& entry : std::filesystem::directory_iterator(path, failure)) {
      if (entry.path().extension() == ".pages") files.push_back(entry.path().string());
    }
    if (failure) return Error{failure.value(), "cannot list " + path + ": " + failure.message()};
    if (files.empty()) return Error{ENODATA, "no *.pages file in " + path};
    std::sort(files.begin(), files.end());
  } else {
    files.push_back(path);
  }
  std::vector<PageSet> sets;
  for (const std::string& file : files) {
    Result<PageSet> set = load_file(file, pages_max, seed);
    if (!set) return std::move(set).error();
    sets.push_back(std::move(*set));
  }
  return sets;
}

std::vector<PageSet> synthetic_page_sets(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<PageSet> sets;
  for (const char* name : {"zeros", "text", "words", "half", "random"}) {
    PageSet set;
    set.name = name;
    set.synthetic = true;
    set.count = count;
    set.memory = PageBuffer(count * kPageSize);
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<std::byte> page(set.memory.page(i), kPageSize);
      if (set.name == "text") fill_text(page, random);
      if (set.name == "words") fill_words(page, random);
      if (set.name == "half") {
        fill_text(page.first(kPageSize / 2), random);
        fill_random(page.last(kPageSize / 2), random);
      }
      if (set.name == "random") fill_random(page, random);
    }
    count_same_filled(set);
    sets.push_back(std::move(set));
  }
  return sets;
}

}  // namespace pleat::tool
