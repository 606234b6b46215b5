// SPDX-License-Identifier: MIT OR Apache-2.0
#include "config/size_expression.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "config/memory_total.h"

namespace pleat::config {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kRam = 8 * kGiB;

std::uint64_t size_of(std::string_view text) {
  const auto size = evaluate_size(text, kRam);
  EXPECT_TRUE(size.has_value()) << text << ": " << (size ? "" : size.error().message);
  return size ? *size : 0;
}

TEST(SizeExpression, TakesPlainSizes) {
  EXPECT_EQ(size_of("4096"), 4096u);
  EXPECT_EQ(size_of("512M"), 512u << 20);
  EXPECT_EQ(size_of("4G"), 4 * kGiB);
  EXPECT_EQ(size_of(" 1.5G "), 3 * kGiB / 2);
  EXPECT_EQ(size_of("16T"), 16ull << 40);
}

TEST(SizeExpression, KnowsTheMemoryOfTheMachine) {
  EXPECT_EQ(size_of("ram"), kRam);
  EXPECT_EQ(size_of("ram/2"), kRam / 2);
  EXPECT_EQ(size_of("ram * 0.25"), kRam / 4);
  EXPECT_EQ(size_of("min(ram / 2, 4G)"), 4 * kGiB);
  EXPECT_EQ(size_of("min(ram / 2, 1G, 2G)"), kGiB);
  EXPECT_EQ(size_of("max(ram, 9G)"), 9 * kGiB);
  EXPECT_EQ(evaluate_size("ram").value(), memory_total_bytes().value() / 4096 * 4096);
}

TEST(SizeExpression, ObeysPrecedenceAndParentheses) {
  EXPECT_EQ(size_of("1G + 2G * 3"), 7 * kGiB);
  EXPECT_EQ(size_of("(1G + 2G) * 3"), 9 * kGiB);
  EXPECT_EQ(size_of("8G - 2G - 1G"), 5 * kGiB);
  EXPECT_EQ(size_of("8G / 2 / 2"), 2 * kGiB);
  EXPECT_EQ(size_of("((ram)-(4G))"), 4 * kGiB);
}

TEST(SizeExpression, RoundsDownToPages) {
  EXPECT_EQ(size_of("4097"), 4096u);
  EXPECT_EQ(size_of("8191.9"), 4096u);
  EXPECT_EQ(size_of("10KB"), 8192u);
}

struct Mistake {
  const char* text;
  int code;
  const char* message;
};

TEST(SizeExpression, SaysWhereTheTextGoesWrong) {
  const Mistake mistakes[] = {
      {"", EINVAL, "position 1: expected a size, but the text ends"},
      {"4G +", EINVAL, "position 5: expected a size, but the text ends"},
      {"4 G", EINVAL, "position 3: expected an operator or the end, not 'G'"},
      {"4X", EINVAL, "position 1: '4X' is not a size"},
      {"1G + 1.2.3", EINVAL, "position 6: '1.2.3' is not a size"},
      {"rom/2", EINVAL, "position 1: expected a size, 'ram', 'min', 'max' or '(', not 'rom'"},
      {"-4G", EINVAL, "position 1: expected a size"},
      {"ram/0", EINVAL, "position 4: division by zero"},
      {"(4G", EINVAL, "position 4: expected ')'"},
      {"4G)", EINVAL, "position 3: expected an operator or the end, not ')'"},
      {"min 4G", EINVAL, "position 5: expected '(' after min or max"},
      {"min(4G", EINVAL, "position 7: expected ',' or ')'"},
      {"min()", EINVAL, "position 5: expected a size"},
      {"ram % 2", EINVAL, "position 5: expected an operator or the end, not '%'"},
      {"1G - 2G", EINVAL, "'1G - 2G' is negative"},
      {"0", EINVAL, "less than one page"},
      {"4095", EINVAL, "less than one page"},
      {"ram * 2000000", ERANGE, "more than 8 PiB"},
      {"99999999999T", ERANGE, "position 1"},
  };
  for (const Mistake& mistake : mistakes) {
    const auto size = evaluate_size(mistake.text, kRam);
    ASSERT_FALSE(size.has_value()) << mistake.text;
    EXPECT_EQ(size.error().code, mistake.code) << mistake.text;
    EXPECT_NE(size.error().message.find(mistake.message), std::string::npos)
        << mistake.text << ": " << size.error().message;
  }
}

TEST(SizeExpression, BoundsItsRecursion) {
  const std::string open(100'000, '(');
  const auto parentheses = evaluate_size(open, kRam);
  ASSERT_FALSE(parentheses.has_value());
  EXPECT_NE(parentheses.error().message.find("nested"), std::string::npos);

  std::string calls;
  for (int i = 0; i < 20'000; ++i) calls += "min(";
  EXPECT_FALSE(evaluate_size(calls, kRam).has_value());

  const std::string allowed = std::string(64, '(') + "4G" + std::string(64, ')');
  EXPECT_EQ(size_of(allowed), 4 * kGiB);
}

TEST(SizeExpression, RefusesWhatOverflowsToInfinity) {
  std::string text = "16T";
  for (int i = 0; i < 40; ++i) text += " * 16T";
  EXPECT_FALSE(evaluate_size(text, kRam).has_value());
}

}  // namespace
}  // namespace pleat::config
