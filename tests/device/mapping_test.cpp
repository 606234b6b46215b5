// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/mapping.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/page.h"

namespace pleat::device {
namespace {

constexpr std::size_t kMappedPages = 64;

std::ptrdiff_t resident_pages(const Mapping& memory) {
  std::vector<unsigned char> pages(kMappedPages);
  if (mincore(memory.data(), kMappedPages * kPageSize, pages.data()) != 0) return -1;
  return std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; });
}

TEST(Mapping, IsThereUntilItIsGivenUp) {
  auto memory = Mapping::locked(kMappedPages * kPageSize, "a test");
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(resident_pages(*memory), std::ptrdiff_t{kMappedPages});
  // Linux 5.18.
  if (madvise(nullptr, 0, 24) != 0) GTEST_SKIP() << "this kernel keeps locked pages";
  memory->give_up();
  EXPECT_EQ(resident_pages(*memory), 0);
  memory->give_up();
  const Mapping moved = std::move(*memory);
  EXPECT_EQ(resident_pages(moved), 0);
}

}  // namespace
}  // namespace pleat::device
