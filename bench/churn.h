// SPDX-License-Identifier: MIT OR Apache-2.0
// Random overwrites and discards of a device of which a share is always in use: the same steps for
// everything that is measured with the same seed.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

namespace pleat::bench {

class Churn {
 public:
  // What holds the pages. Each call says whether it succeeded.
  struct Subject {
    std::function<bool(std::uint64_t slot, std::size_t page)> write;
    std::function<bool(std::uint64_t slot)> discard;
  };

  // Writes `pages` different pages, drawn anew each time, to `used` of `slots` slots.
  Churn(std::uint64_t slots, std::uint64_t used, std::size_t pages, std::uint64_t seed)
      : random_(seed), pages_(pages), page_of_(slots, kNoPage) {
    std::vector<std::uint32_t> order(slots);
    for (std::uint64_t i = 0; i < slots; ++i) order[i] = static_cast<std::uint32_t>(i);
    for (std::uint64_t i = slots; i-- > 1;) std::swap(order[i], order[random_() % (i + 1)]);
    used_.assign(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(used));
    unused_.assign(order.begin() + static_cast<std::ptrdiff_t>(used), order.end());
  }

  bool fill(const Subject& subject) {
    for (const std::uint32_t slot : used_) {
      if (!write(subject, slot)) return false;
    }
    return true;
  }

  // One step: overwrites a page, or discards one and writes another elsewhere.
  bool step(const Subject& subject) {
    const std::size_t place = random_() % used_.size();
    if (unused_.empty() || random_() % 2 == 0) return write(subject, used_[place]);
    std::uint32_t& other = unused_[random_() % unused_.size()];
    std::swap(used_[place], other);
    page_of_[other] = kNoPage;
    return subject.discard(other) && write(subject, used_[place]);
  }

  // Calls visit(slot, page) for each page that is stored.
  void visit(const std::function<void(std::uint64_t slot, std::size_t page)>& visit) const {
    for (const std::uint32_t slot : used_) visit(slot, page_of_[slot]);
  }
  // A page that is stored.
  std::uint64_t any_slot() { return used_[random_() % used_.size()]; }

 private:
  static constexpr std::uint32_t kNoPage = UINT32_MAX;

  bool write(const Subject& subject, std::uint32_t slot) {
    page_of_[slot] = static_cast<std::uint32_t>(random_() % pages_);
    return subject.write(slot, page_of_[slot]);
  }

  std::mt19937_64 random_;
  const std::size_t pages_;
  std::vector<std::uint32_t> page_of_;
  std::vector<std::uint32_t> used_;
  std::vector<std::uint32_t> unused_;
};

}  // namespace pleat::bench
