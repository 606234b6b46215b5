// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/units.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace pleat {
namespace {

// The factor that a suffix stands for, or nothing where it is unknown.
std::optional<double> suffix_factor(std::string_view suffix) {
  if (suffix.empty() || suffix == "B") return 1.0;
  constexpr std::string_view kLetters = "KMGT";
  const char letter = suffix[0] == 'k' ? 'K' : suffix[0];
  const std::size_t power = kLetters.find(letter);
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = suffix.substr(1);
  double base = 0;
  if (rest.empty() || rest == "iB") base = 1024.0;
  if (rest == "B") base = 1000.0;
  if (base == 0) return std::nullopt;
  return std::pow(base, static_cast<double>(power + 1));
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const std::string quoted = "'" + std::string(text) + "'";
  const std::size_t digits = text.find_first_not_of("0123456789.");
  const std::string number(text.substr(0, digits));
  const std::string_view suffix = digits == std::string_view::npos ? "" : text.substr(digits);
  char* end = nullptr;
  const double value = number.empty() ? 0 : std::strtod(number.c_str(), &end);
  const std::optional<double> factor = suffix_factor(suffix);
  if (number.empty() || *end != '\0' || !factor) {
    return Error{EINVAL, quoted + " is not a size; write a number with K, M, G or T, such as 4G"};
  }
  const double bytes = value * *factor;
  if (bytes >= 18446744073709551616.0) return Error{ERANGE, quoted + " is more than 64 bits hold"};
  return static_cast<std::uint64_t>(bytes);
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<char, 7> kLetters = {'B', 'K', 'M', 'G', 'T', 'P', 'E'};
  std::size_t power = 0;
  double value = static_cast<double>(bytes);
  while (value >= 1023.95 && power + 1 < kLetters.size()) {
    value /= 1024;
    ++power;
  }
  std::array<char, 32> text{};
  const bool whole = power == 0 || std::fabs(value - std::round(value)) < 0.05;
  std::snprintf(text.data(), text.size(), whole ? "%.0f%c" : "%.1f%c", value, kLetters[power]);
  return text.data();
}

std::string format_duration_ns(std::uint64_t duration_ns) {
  constexpr std::array<const char*, 4> kUnits = {"ns", "us", "ms", "s"};
  std::size_t power = 0;
  double value = static_cast<double>(duration_ns);
  while (value >= 999.5 && power + 1 < kUnits.size()) {
    value /= 1000;
    ++power;
  }
  std::array<char, 32> text{};
  const int decimals = power == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  std::snprintf(text.data(), text.size(), "%.*f%s", decimals, value, kUnits[power]);
  return text.data();
}

}  // namespace pleat
