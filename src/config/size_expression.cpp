// SPDX-License-Identifier: MIT OR Apache-2.0
#include "config/size_expression.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <string>

#include "base/page.h"
#include "base/units.h"
#include "config/memory_total.h"

namespace pleat::config {
namespace {

// Above this, double no longer holds every whole number.
constexpr double kLargestExact = 9007199254740992.0;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_space(char c) { return c == ' ' || c == '\t'; }

// A recursive-descent parser that computes as it goes; each function takes what its rule of the
// grammar (size_expression.h) takes.
class Parser {
 public:
  Parser(std::string_view text, double ram_bytes) : text_(text), ram_bytes_(ram_bytes) {}

  Result<double> parse() {
    Result<double> value = expression();
    if (!value) return value;
    skip_space();
    if (position_ != text_.size()) {
      return error_here("expected an operator or the end, not '" + word_here() + "'");
    }
    return value;
  }

 private:
  // Bounds the recursion, so that no text can exhaust the stack.
  static constexpr unsigned kDepthMax = 64;

  Result<double> expression() {
    Result<double> sum = term();
    while (sum && (next_is('+') || next_is('-'))) {
      const char operation = text_[position_++];
      const Result<double> right = term();
      if (!right) return right;
      sum = operation == '+' ? *sum + *right : *sum - *right;
    }
    return sum;
  }

  Result<double> term() {
    Result<double> product = factor();
    while (product && (next_is('*') || next_is('/'))) {
      const std::size_t operation_at = position_++;
      const Result<double> right = factor();
      if (!right) return right;
      if (text_[operation_at] == '*') {
        product = *product * *right;
      } else if (*right == 0) {
        return error_at(operation_at, "division by zero");
      } else {
        product = *product / *right;
      }
      if (!std::isfinite(*product)) return error_at(operation_at, "the result is too large");
    }
    return product;
  }

  Result<double> factor() {
    skip_space();
    if (position_ == text_.size()) return error_here("expected a size, but the text ends");
    const char c = text_[position_];
    if (c == '(') {
      ++position_;
      return parenthesised();
    }
    if (is_digit(c) || c == '.') return number();
    const std::size_t word_at = position_;
    const std::string word = word_here();
    if (word == "ram") {
      position_ += word.size();
      return ram_bytes_;
    }
    if (word == "min" || word == "max") {
      position_ += word.size();
      return smallest_or_largest(word == "min");
    }
    return error_at(word_at, "expected a size, 'ram', 'min', 'max' or '(', not '" + word + "'");
  }

  // After '(': an expression and ')'.
  Result<double> parenthesised() {
    if (++depth_ > kDepthMax) return error_here("more than 64 nested parentheses");
    Result<double> value = expression();
    if (value && !take(')')) return error_here("expected ')'");
    --depth_;
    return value;
  }

  // After "min" or "max": the list of arguments.
  Result<double> smallest_or_largest(bool smallest) {
    if (!take('(')) return error_here("expected '(' after min or max");
    if (++depth_ > kDepthMax) return error_here("more than 64 nested parentheses");
    Result<double> chosen = expression();
    while (chosen && take(',')) {
      const Result<double> other = expression();
      if (!other) return other;
      chosen = smallest ? std::min(*chosen, *other) : std::max(*chosen, *other);
    }
    if (chosen && !take(')')) return error_here("expected ',' or ')'");
    --depth_;
    return chosen;
  }

  // A plain number may have a fraction, as in "ram * 0.25"; one with a suffix is a size of whole
  // bytes.
  Result<double> number() {
    const std::size_t start = position_;
    while (position_ < text_.size() && (is_digit(text_[position_]) || text_[position_] == '.')) {
      ++position_;
    }
    const std::string digits(text_.substr(start, position_ - start));
    while (position_ < text_.size() && is_letter(text_[position_])) ++position_;
    const std::string_view literal = text_.substr(start, position_ - start);
    const Result<std::uint64_t> bytes = parse_size(literal);
    if (!bytes) return Error{bytes.error().code, at(start) + bytes.error().message};
    if (literal.size() == digits.size()) return std::strtod(digits.c_str(), nullptr);
    return static_cast<double>(*bytes);
  }

  void skip_space() {
    while (position_ < text_.size() && is_space(text_[position_])) ++position_;
  }
  bool next_is(char c) {
    skip_space();
    return position_ < text_.size() && text_[position_] == c;
  }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++position_;
    return true;
  }

  // The word at the position, or the one character there, for messages.
  std::string word_here() const {
    std::size_t end = position_;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    if (end == position_ && end < text_.size()) ++end;
    return std::string(text_.substr(position_, end - position_));
  }

  std::string at(std::size_t position) const {
    return "size '" + std::string(text_) + "', position " + std::to_string(position + 1) + ": ";
  }
  Error error_at(std::size_t position, const std::string& what) const {
    return Error{EINVAL, at(position) + what};
  }
  Error error_here(const std::string& what) {
    skip_space();
    return error_at(position_, what);
  }

  std::string_view text_;
  double ram_bytes_;
  std::size_t position_ = 0;
  unsigned depth_ = 0;
};

}  // namespace

Result<std::uint64_t> evaluate_size(std::string_view text, std::uint64_t ram_bytes) {
  const Result<double> bytes = Parser(text, static_cast<double>(ram_bytes)).parse();
  if (!bytes) return bytes.error();
  const std::string size = "size '" + std::string(text) + "'";
  if (*bytes < 0) return Error{EINVAL, size + " is negative"};
  if (*bytes < static_cast<double>(kPageSize)) {
    return Error{EINVAL, size + " is less than one page of 4096 bytes"};
  }
  if (*bytes > kLargestExact) return Error{ERANGE, size + " is more than 8 PiB"};
  return static_cast<std::uint64_t>(*bytes) / kPageSize * kPageSize;
}

Result<std::uint64_t> evaluate_size(std::string_view text) {
  const Result<std::uint64_t> ram_bytes = memory_total_bytes();
  if (!ram_bytes) return ram_bytes.error();
  return evaluate_size(text, *ram_bytes);
}

}  // namespace pleat::config
