// SPDX-License-Identifier: MIT OR Apache-2.0
#include "config/memory_total.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

namespace pleat::config {
namespace {

class MemoryTotal : public ::testing::Test {
 protected:
  void SetUp() override { path_ = ::testing::TempDir() + "meminfo." + std::to_string(::getpid()); }
  void TearDown() override { std::filesystem::remove(path_); }

  void write(const std::string& text) const { std::ofstream(path_) << text; }

  std::string path_;
};

TEST_F(MemoryTotal, CountsKibibytes) {
  write("MemTotal:       32594496 kB\nMemFree:          1234 kB\n");
  EXPECT_EQ(memory_total_bytes(path_).value(), 32594496ull * 1024);
}

TEST_F(MemoryTotal, IsFoundBehindOtherLines) {
  write("MemFree: 1 kB\nMemTotal: 8 kB\n");
  EXPECT_EQ(memory_total_bytes(path_).value(), 8192u);
}

TEST_F(MemoryTotal, IsNotGuessedWhereTheLineIsMissing) {
  for (const char* text : {"", "MemFree: 1 kB\n", "MemTotal: kB\n", "MemTotal: 0 kB\n"}) {
    write(text);
    const auto total = memory_total_bytes(path_);
    ASSERT_FALSE(total.has_value()) << text;
    EXPECT_EQ(total.error().code, EBADMSG);
  }
}

TEST_F(MemoryTotal, NamesTheFileItCannotRead) {
  const auto total = memory_total_bytes("/nonexistent/meminfo");
  ASSERT_FALSE(total.has_value());
  EXPECT_EQ(total.error().code, ENOENT);
  EXPECT_NE(total.error().message.find("/nonexistent/meminfo"), std::string::npos);
}

TEST(MemoryTotalHere, IsAPlausibleAmount) {
  const auto total = memory_total_bytes();
  ASSERT_TRUE(total.has_value());
  EXPECT_GT(*total, 16u << 20);
}

}  // namespace
}  // namespace pleat::config
