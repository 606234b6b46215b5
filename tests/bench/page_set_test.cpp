// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/page_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/bytes.h"

namespace pleat::tool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PageSetTest : public testing::Test {
 protected:
  PageSetTest() : folder_(testing::TempDir() + "pleat-pages-" + std::to_string(::getpid())) {
    std::filesystem::create_directory(folder_);
  }
  ~PageSetTest() override { std::filesystem::remove_all(folder_); }

  // A file of pages that are each filled with their number, and some bytes more.
  std::string make_file(const std::string& name, std::size_t pages, std::size_t more = 0) {
    const std::string path = folder_ + "/" + name;
    std::ofstream file(path, std::ios::binary);
    for (std::uint64_t page = 0; page < pages; ++page) {
      for (std::size_t word = 0; word < kPageSize / sizeof(page); ++word) {
        file.write(reinterpret_cast<const char*>(&page), sizeof(page));
      }
    }
    file << std::string(more, 'x');
    return path;
  }

  std::string folder_;
};

TEST_F(PageSetTest, CutsAFileIntoWholePages) {
  Result<std::vector<PageSet>> sets = load_page_sets(make_file("some.bin", 5, 4095), 100, 1);
  ASSERT_TRUE(sets) << sets.error().message;
  ASSERT_EQ(sets->size(), 1u);
  const PageSet& set = (*sets)[0];
  EXPECT_EQ(set.name, "some");
  ASSERT_EQ(set.count, 5u);
  EXPECT_EQ(set.same_filled, 5u);
  for (std::size_t i = 0; i < set.count; ++i) EXPECT_EQ(load_u64(set.page(i) + 4088), i);
}

TEST_F(PageSetTest, LoadsThePagesFilesOfADirectoryByName) {
  make_file("b.pages", 2);
  make_file("a.pages", 3);
  make_file("c.groups", 4);
  Result<std::vector<PageSet>> sets = load_page_sets(folder_, 100, 1);
  ASSERT_TRUE(sets) << sets.error().message;
  ASSERT_EQ(sets->size(), 2u);
  EXPECT_EQ((*sets)[0].name, "a");
  EXPECT_EQ((*sets)[0].count, 3u);
  EXPECT_EQ((*sets)[1].name, "b");
}

TEST_F(PageSetTest, SamplesALargerFileInItsOrder) {
  Result<std::vector<PageSet>> sets = load_page_sets(make_file("large.pages", 1000), 50, 1);
  ASSERT_TRUE(sets) << sets.error().message;
  const PageSet& set = (*sets)[0];
  ASSERT_EQ(set.count, 50u);
  for (std::size_t i = 1; i < set.count; ++i) {
    EXPECT_LT(load_u64(set.page(i - 1)), load_u64(set.page(i)));
  }
  EXPECT_GT(load_u64(set.page(49)), 500u);
}

TEST_F(PageSetTest, SaysWhatIsWrong) {
  Result<std::vector<PageSet>> missing = load_page_sets(folder_ + "/none", 10, 1);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  Result<std::vector<PageSet>> empty_folder = load_page_sets(folder_, 10, 1);
  ASSERT_FALSE(empty_folder);
  EXPECT_THAT(empty_folder.error().message, HasSubstr("no *.pages file in"));
  Result<std::vector<PageSet>> too_short = load_page_sets(make_file("short", 0, 4095), 10, 1);
  ASSERT_FALSE(too_short);
  EXPECT_THAT(too_short.error().message, HasSubstr("less than one page"));
  Result<std::vector<PageSet>> device = load_page_sets("/dev/null", 10, 1);
  ASSERT_FALSE(device);
  EXPECT_THAT(device.error().message, HasSubstr("not a regular file"));
}

TEST(UniformSample, TakesEachNumberEquallyOften) {
  std::vector<std::size_t> taken(10);
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const std::vector<std::size_t> sample = uniform_sample(10, 3, seed);
    ASSERT_EQ(sample.size(), 3u);
    for (const std::size_t number : sample) ++taken[number];
  }
  // 1200 expected with a deviation of 29.
  for (const std::size_t count : taken) EXPECT_NEAR(static_cast<double>(count), 1200, 150);
}

TEST(UniformSample, TakesAllWhereThereAreNoMore) {
  EXPECT_THAT(uniform_sample(3, 3, 1), ElementsAre(0, 1, 2));
  EXPECT_THAT(uniform_sample(2, 5, 1), ElementsAre(0, 1));
}

TEST(SyntheticPageSets, AreWhatTheirNamesSay) {
  const std::vector<PageSet> sets = synthetic_page_sets(8, 7);
  ASSERT_EQ(sets.size(), 5u);
  EXPECT_EQ(sets[0].name, "zeros");
  EXPECT_EQ(sets[0].same_filled, 8u);
  for (std::size_t i = 1; i < sets.size(); ++i) EXPECT_EQ(sets[i].same_filled, 0u) << sets[i].name;
  for (const std::size_t set : {1, 2}) {
    for (std::size_t i = 0; i < kPageSize; ++i) {
      ASSERT_GE(static_cast<int>(sets[set].page(3)[i]), ' ');
      ASSERT_LE(static_cast<int>(sets[set].page(3)[i]), '~');
    }
  }
  const std::vector<PageSet> again = synthetic_page_sets(8, 7);
  const std::vector<PageSet> other = synthetic_page_sets(8, 8);
  EXPECT_EQ(std::memcmp(sets[4].page(0), again[4].page(0), 8 * kPageSize), 0);
  EXPECT_NE(std::memcmp(sets[4].page(0), other[4].page(0), kPageSize), 0);
}

}  // namespace
}  // namespace pleat::tool
