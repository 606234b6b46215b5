// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/units.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace pleat {
namespace {

TEST(ParseSize, KnowsTheSuffixesOfZramctl) {
  EXPECT_EQ(parse_size("0").value(), 0u);
  EXPECT_EQ(parse_size("4096").value(), 4096u);
  EXPECT_EQ(parse_size("4096B").value(), 4096u);
  EXPECT_EQ(parse_size("64k").value(), 65536u);
  EXPECT_EQ(parse_size("64K").value(), 65536u);
  EXPECT_EQ(parse_size("64KiB").value(), 65536u);
  EXPECT_EQ(parse_size("64KB").value(), 64000u);
  EXPECT_EQ(parse_size("3M").value(), 3u << 20);
  EXPECT_EQ(parse_size("1.5G").value(), 3ull << 29);
  EXPECT_EQ(parse_size("2T").value(), 2ull << 40);
  EXPECT_EQ(parse_size("2TB").value(), 2'000'000'000'000ull);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "G", "-1", "4X", "4GG", "4 G", "1.2.3G", ".", "0x10", "4Gi", "nan", "1e3"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size.has_value()) << text;
    EXPECT_EQ(size.error().code, EINVAL) << text;
    EXPECT_NE(size.error().message.find(std::string("'") + text + "'"), std::string::npos);
  }
  EXPECT_EQ(parse_size("99999999999T").error().code, ERANGE);
}

TEST(FormatSize, HasOneDecimalAtMost) {
  EXPECT_EQ(format_size(0), "0B");
  EXPECT_EQ(format_size(1023), "1023B");
  EXPECT_EQ(format_size(1024), "1K");
  EXPECT_EQ(format_size(1536), "1.5K");
  EXPECT_EQ(format_size((1u << 20) - 1), "1M");
  EXPECT_EQ(format_size(5ull << 40), "5T");
  EXPECT_EQ(format_size(~0ull), "16E");
}

TEST(FormatDuration, HasThreeDigits) {
  EXPECT_EQ(format_duration_ns(0), "0ns");
  EXPECT_EQ(format_duration_ns(999), "999ns");
  EXPECT_EQ(format_duration_ns(1000), "1.00us");
  EXPECT_EQ(format_duration_ns(12'340), "12.3us");
  EXPECT_EQ(format_duration_ns(999'499), "999us");
  EXPECT_EQ(format_duration_ns(999'600), "1.00ms");
  EXPECT_EQ(format_duration_ns(61'000'000'000), "61.0s");
}

}  // namespace
}  // namespace pleat
