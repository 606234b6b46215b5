// SPDX-License-Identifier: MIT OR Apache-2.0
// A set of small numbers in which the first and the last member are found in a few steps: a bitmap
// under levels of summary bits, 64 to one.
//
// Thread safety: none; the page allocator's lock guards it. Memory is allocated in the constructor
// only.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace pleat::store {

class BitTree {
 public:
  // The numbers 0 to size - 1, all members or none.
  BitTree(std::size_t size, bool full) {
    do {
      const std::size_t words = (size + 63) / 64;
      std::vector<std::uint64_t> level(words, full ? ~std::uint64_t{0} : 0);
      if (full && size % 64 != 0) level.back() = (std::uint64_t{1} << size % 64) - 1;
      levels_.push_back(std::move(level));
      size = words;
    } while (size > 1);
  }

  bool contains(std::size_t number) const noexcept {
    return (levels_[0][number / 64] >> number % 64 & 1) != 0;
  }

  // Makes `number` a member or not; whether that changed anything.
  bool assign(std::size_t number, bool member) noexcept {
    if (contains(number) == member) return false;
    for (auto& level : levels_) {
      std::uint64_t& word = level[number / 64];
      const std::uint64_t bit = std::uint64_t{1} << number % 64;
      const bool was_empty = word == 0;
      word = member ? word | bit : word & ~bit;
      // A summary bit says whether its word has any bit; it stays where that did not change.
      if (member ? !was_empty : word != 0) break;
      number /= 64;
    }
    return true;
  }

  std::optional<std::size_t> first() const noexcept { return first_from(0); }

  // The smallest member that is at least `number`.
  std::optional<std::size_t> first_from(std::size_t number) const noexcept {
    for (std::size_t height = 0; height < levels_.size(); ++height) {
      const auto& level = levels_[height];
      if (number / 64 >= level.size()) return std::nullopt;
      const std::uint64_t word = level[number / 64] & ~std::uint64_t{0} << number % 64;
      if (word != 0) {
        number = number / 64 * 64 + static_cast<std::size_t>(std::countr_zero(word));
        while (height-- > 0) {
          number =
              number * 64 + static_cast<std::size_t>(std::countr_zero(levels_[height][number]));
        }
        return number;
      }
      number = number / 64 + 1;
    }
    return std::nullopt;
  }

  std::optional<std::size_t> last() const noexcept {
    if (levels_.back()[0] == 0) return std::nullopt;
    std::size_t number = 0;
    for (std::size_t height = levels_.size(); height-- > 0;) {
      number =
          number * 64 + 63 - static_cast<std::size_t>(std::countl_zero(levels_[height][number]));
    }
    return number;
  }

  std::size_t bytes() const noexcept {
    std::size_t words = 0;
    for (const auto& level : levels_) words += level.size();
    return words * sizeof(std::uint64_t);
  }

 private:
  // levels_[0] has a bit a number, levels_[n + 1] a bit a word of levels_[n].
  std::vector<std::vector<std::uint64_t>> levels_;
};

}  // namespace pleat::store
