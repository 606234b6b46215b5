// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages to compress: real, synthetic and random ones.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "base/page.h"

namespace pleat::test {

struct SamplePage {
  std::string name;
  alignas(64) std::array<std::byte, kPageSize> bytes;
};

// The committed pages, and up to `per_corpus` of each file of ../shared/corpora where that exists.
std::vector<SamplePage> real_pages(std::size_t per_corpus);

// Constant, periodic (every period from 1 to 64), counting, sparse, text-like, mixed and random
// pages, pages whose only match lies at either edge of what the format allows, and pages with
// literal runs and matches around the lengths where the encoding of lengths changes.
std::vector<SamplePage> synthetic_pages();

struct SampleGroup {
  std::string name;
  std::array<std::byte, kGroupBytes> bytes;
};

// Four pages in a row, some of them the same one, and groups with runs over the pages' ends.
std::vector<SampleGroup> sample_groups();

}  // namespace pleat::test
