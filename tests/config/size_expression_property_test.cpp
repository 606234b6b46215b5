// SPDX-License-Identifier: MIT OR Apache-2.0
// Random expressions against an evaluation of their tree, and random text against the promise that
// it ends in a size or in an error with a position.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <random>
#include <string>

#include "config/size_expression.h"
#include "repetitions.h"

namespace pleat::config {
namespace {

constexpr std::uint64_t kMemory = std::uint64_t{24} << 30;

// A text and the value that its construction gives it.
struct Sample {
  std::string text;
  double value;
};

class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  unsigned below(unsigned bound) {
    return std::uniform_int_distribution<unsigned>(0, bound - 1)(random_);
  }

  std::string space() { return std::string(below(3), below(4) == 0 ? '\t' : ' '); }

  Sample expression(unsigned depth) {
    Sample sum = term(depth);
    for (unsigned more = below(3); more > 0; --more) {
      const bool plus = below(2) == 0;
      const Sample right = term(depth);
      sum.text += space() + (plus ? "+" : "-") + space() + right.text;
      sum.value = plus ? sum.value + right.value : sum.value - right.value;
    }
    return sum;
  }

 private:
  Sample term(unsigned depth) {
    Sample product = factor(depth);
    for (unsigned more = below(3); more > 0; --more) {
      const Sample right = factor(depth);
      const bool times = right.value == 0 || below(2) == 0;
      product.text += space() + (times ? "*" : "/") + space() + right.text;
      product.value = times ? product.value * right.value : product.value / right.value;
    }
    return product;
  }

  Sample factor(unsigned depth) {
    const unsigned kind = depth == 0 ? below(3) : below(6);
    if (kind == 0) return {"ram", static_cast<double>(kMemory)};
    if (kind == 1) {
      const unsigned number = below(1000);
      return {std::to_string(number) + ".5", number + 0.5};
    }
    if (kind == 2) {
      const unsigned number = below(1000);
      const unsigned power = below(5);
      const std::string suffix = power == 0 ? "" : std::string(1, "KMGT"[power - 1]);
      return {std::to_string(number) + suffix, number * std::pow(1024.0, power)};
    }
    if (kind == 3) {
      const Sample inner = expression(depth - 1);
      return {"(" + space() + inner.text + space() + ")", inner.value};
    }
    const bool smallest = kind == 4;
    Sample chosen = expression(depth - 1);
    std::string arguments = chosen.text;
    for (unsigned more = below(3); more > 0; --more) {
      const Sample other = expression(depth - 1);
      arguments += space() + "," + space() + other.text;
      chosen.value =
          smallest ? std::min(chosen.value, other.value) : std::max(chosen.value, other.value);
    }
    return {(smallest ? "min" : "max") + space() + "(" + arguments + ")", chosen.value};
  }

  std::mt19937 random_;
};

TEST(SizeExpressionProperty, RandomExpressionsHaveTheValueOfTheirTree) {
  Generator generator(20240607);
  unsigned sizes = 0;
  for (unsigned i = 0; i < test::repetitions(20'000); ++i) {
    const Sample sample = generator.expression(3);
    const auto size = evaluate_size(sample.text, kMemory);
    if (!std::isfinite(sample.value)) {
      EXPECT_FALSE(size.has_value()) << sample.text;
    } else if (sample.value < 4096 || sample.value > 9007199254740992.0) {
      ASSERT_FALSE(size.has_value()) << sample.text;
      // An intermediate result beyond double is possible here too, with its own message.
      EXPECT_TRUE(size.error().code == EINVAL || size.error().code == ERANGE);
    } else {
      ASSERT_TRUE(size.has_value()) << sample.text << ": " << size.error().message;
      EXPECT_EQ(*size, static_cast<std::uint64_t>(sample.value) / 4096 * 4096) << sample.text;
      ++sizes;
    }
  }
  // The comparison above must have been reached often to mean anything.
  EXPECT_GT(sizes, test::repetitions(2000));
}

TEST(SizeExpressionProperty, AnyTextEndsInASizeOrAnError) {
  Generator generator(77);
  const std::string alphabet =
      std::string("0123456789.kKMGTB+-*/(),ramminax \t%-e_'\"\\\n\x7f\xff") + '\0';
  for (unsigned i = 0; i < test::repetitions(50'000); ++i) {
    std::string text;
    for (unsigned length = generator.below(24); length > 0; --length) {
      text += alphabet[generator.below(static_cast<unsigned>(alphabet.size()))];
    }
    const auto size = evaluate_size(text, kMemory);
    if (size) {
      EXPECT_EQ(*size % 4096, 0u) << text;
      EXPECT_GE(*size, 4096u) << text;
      continue;
    }
    const std::size_t at = size.error().message.find(", position ");
    if (at == std::string::npos) continue;
    const unsigned long position = std::stoul(size.error().message.substr(at + 11));
    EXPECT_GE(position, 1u);
    EXPECT_LE(position, text.size() + 1) << text;
  }
}

TEST(SizeExpressionProperty, EveryTruncationOfAGoodTextIsHandled) {
  const std::string text = "max(min(ram / 2, 4G), (ram - 512M) * 0.25) + 1.5M";
  ASSERT_TRUE(evaluate_size(text, kMemory).has_value());
  for (std::size_t length = 0; length < text.size(); ++length) {
    const auto size = evaluate_size(text.substr(0, length), kMemory);
    EXPECT_TRUE(!size || *size % 4096 == 0) << length;
  }
}

}  // namespace
}  // namespace pleat::config
