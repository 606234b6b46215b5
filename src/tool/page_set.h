// SPDX-License-Identifier: MIT OR Apache-2.0
// The pages that a benchmark runs over: files of real pages (`pleat capture` writes them), any
// other file cut into pages, and synthetic ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/page.h"
#include "base/result.h"
#include "tool/page_buffer.h"

namespace pleat::tool {

struct PageSet {
  std::string name;  // the file's name without its ending, or the synthetic kind
  bool synthetic = false;
  std::size_t count = 0;
  // How many of them are same-filled.
  std::size_t same_filled = 0;
  PageBuffer memory;  // count pages

  const std::byte* page(std::size_t index) const noexcept { return memory.page(index); }
};

// Whether the page consists of one repeated 8-byte word.
bool same_filled(const std::byte* page);

// Loads one file, or each `*.pages` file of a directory in the order of their names. A file that
// holds more than pages_max pages gives a uniform sample of them without replacement, drawn with
// `seed` and kept in the file's order. Bytes behind the last whole page are left out. ENOENT and
// other errors of open, ENODATA for a file of less than a page and a directory without `*.pages`.
Result<std::vector<PageSet>> load_page_sets(const std::string& path, std::size_t pages_max,
                                            std::uint64_t seed);

// "zeros", "text" (the printable characters over and over), "words" (drawn from a vocabulary),
// "half" (half a page of text, half of random bytes) and "random", `count` pages each. The same
// seed gives the same pages.
std::vector<PageSet> synthetic_page_sets(std::size_t count, std::uint64_t seed);

// `count` distinct numbers below `total` in rising order, each subset equally likely; all of them
// where count >= total.
std::vector<std::size_t> uniform_sample(std::size_t total, std::size_t count, std::uint64_t seed);

}  // namespace pleat::tool
