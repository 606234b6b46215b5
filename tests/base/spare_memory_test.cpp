// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/spare_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/page.h"

namespace pleat {
namespace {

constexpr std::size_t kPages = 64;

std::ptrdiff_t resident_pages(const SpareMemory& memory) {
  std::vector<unsigned char> pages(kPages);
  if (mincore(const_cast<void*>(memory.address()), kPages * kPageSize, pages.data()) != 0)
    return -1;
  return std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; });
}

TEST(SpareMemory, IsThereUntilItIsGivenUp) {
  auto memory = SpareMemory::hold(kPages * kPageSize);
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(resident_pages(*memory), std::ptrdiff_t{kPages});
  // Linux 5.18.
  if (madvise(nullptr, 0, 24) != 0) GTEST_SKIP() << "this kernel keeps locked pages";
  memory->give_up();
  EXPECT_EQ(resident_pages(*memory), 0);
  memory->give_up();
  const SpareMemory moved = std::move(*memory);
  EXPECT_EQ(resident_pages(moved), 0);
}

}  // namespace
}  // namespace pleat
