// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/train.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/page.h"
#include "codec/page_codec.h"
#include "tool/page_set.h"

namespace pleat::tool {
namespace {

using testing::HasSubstr;

class TrainTest : public testing::Test {
 protected:
  TrainTest() : folder_(testing::TempDir() + "pleat-train-" + std::to_string(::getpid())) {
    std::filesystem::create_directory(folder_);
    for (PageSet& set : synthetic_page_sets(16, 1)) {
      write(set.name + ".pages",
            {reinterpret_cast<const char*>(set.memory.data()), set.count * kPageSize});
    }
  }
  ~TrainTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
  }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name), std::ios::binary).rdbuf();
    return text.str();
  }
  Result<TrainResult> run(const std::vector<std::string>& names) const {
    std::vector<std::string> paths;
    for (const std::string& name : names) paths.push_back(path(name));
    return train(paths, path("out.dict"), kernels_);
  }
  void expect_error(const std::vector<std::string>& names, int code, const char* message) const {
    const auto result = run(names);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code);
    EXPECT_THAT(result.error().message, HasSubstr(message));
    EXPECT_FALSE(std::filesystem::exists(path("out.dict")));
  }

  const codec::Kernels& kernels_ = *codec::available_kernels().back();
  std::string folder_;
};

TEST_F(TrainTest, WritesADictionaryThatTheCodecTakesAndSaysWhatItIsWorth) {
  const auto result = run({"words.pages", "half.pages", "zeros.pages"});
  ASSERT_TRUE(result) << result.error().message;
  const std::string bytes = read("out.dict");
  EXPECT_EQ(bytes.size(), result->bytes);
  const auto codec = codec::PageCodec::open("zstd,dict=" + path("out.dict"), kernels_);
  ASSERT_TRUE(codec) << codec.error().message;
  ASSERT_EQ(result->files.size(), 3u);
  EXPECT_EQ(result->files[0].name, "words");
  EXPECT_EQ(result->files[0].pages, 16u);
  EXPECT_GT(result->files[0].own, 1);
  // Pages of the same kind as it was made of.
  EXPECT_GT(result->files[0].canned, result->files[0].own * 0.9);
  EXPECT_GE(result->files[0].mixed, result->files[0].own);
  const std::string text = to_text(*result, "out.dict");
  EXPECT_THAT(text, HasSubstr("out.dict: a zstd dictionary of " + std::to_string(bytes.size()) +
                              " bytes, id " + std::to_string(result->id) + "\n"));
  EXPECT_THAT(text, HasSubstr("| words "));
  EXPECT_THAT(text, HasSubstr("| geometric mean "));
  // The same pages make the same file, in place of the old one; nothing else is left.
  write("out.dict", "old");
  ASSERT_TRUE(run({"words.pages", "half.pages", "zeros.pages"}));
  EXPECT_EQ(read("out.dict"), bytes);
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    const std::string ending = entry.path().extension();
    EXPECT_TRUE(ending == ".pages" || ending == ".dict") << entry.path();
  }
}

TEST_F(TrainTest, TakesDirectoriesAndFilesTooSmallToHoldPagesOut) {
  EXPECT_EQ(train({folder_}, path("all.dict"), kernels_)->files.size(), 5u);
  write("few.pages", read("words.pages").substr(0, 3 * kPageSize));
  const auto result = run({"few.pages"});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->files[0].own, 0);
  EXPECT_THAT(to_text(*result, "x"), testing::Not(HasSubstr("|")));
}

TEST_F(TrainTest, SaysWhyThereIsNoDictionary) {
  expect_error({"none.pages"}, ENOENT, "none.pages");
  write("odd.pages", std::string(kPageSize + 1, 'x'));
  expect_error({"words.pages", "odd.pages"}, EINVAL,
               "is of 4097 bytes, which are no whole number of pages of 4096");
  write("empty.pages", "");
  expect_error({"empty.pages"}, ENODATA, "holds less than one page");
  expect_error({"zeros.pages", "random.pages"}, EINVAL, "teach nothing");
  const auto result = train({path("words.pages")}, "/nowhere/x.dict", kernels_);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ENOENT);
  EXPECT_THAT(result.error().message, HasSubstr("cannot create /nowhere/x.dict"));
}

}  // namespace
}  // namespace pleat::tool
