// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages whose every byte follows from a seed, an index and a version: what the guest's checkers
// write, and what they expect to read back. Three kinds occur in a fixed mixture, as in a real
// program's memory: compressible, same-filled, and one page in eight incompressible.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pleat::guest {

inline constexpr std::size_t kPatternPageBytes = 4096;
inline constexpr std::size_t kPatternWords = kPatternPageBytes / sizeof(std::uint64_t);

enum class PageKind : std::uint8_t { kCompressible, kSameFilled, kIncompressible };

using PatternPage = std::array<std::uint64_t, kPatternWords>;

// SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
class PatternRandom {
 public:
  explicit PatternRandom(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() noexcept {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return mixed ^ (mixed >> 31);
  }
  std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

 private:
  std::uint64_t state_;
};

// The kind of a page: one in eight is incompressible, one in eight same-filled.
inline PageKind page_kind(std::uint64_t seed, std::uint64_t index, std::uint64_t version) {
  switch (PatternRandom(seed ^ (index << 20) ^ version).below(8)) {
    case 0:
      return PageKind::kIncompressible;
    case 1:
      return PageKind::kSameFilled;
    default:
      return PageKind::kCompressible;
  }
}

// Fills the page. Two pages of different seed, index or version differ in every kind.
inline void fill_page(PageKind kind, std::uint64_t seed, std::uint64_t index, std::uint64_t version,
                      PatternPage& page) {
  PatternRandom random(seed * 0x100000001B3U + index * 0x1000193U + version + 1);
  switch (kind) {
    case PageKind::kSameFilled:
      page.fill(random.next());
      return;
    case PageKind::kIncompressible:
      for (std::uint64_t& word : page) word = random.next();
      return;
    case PageKind::kCompressible: {
      // Records of 64 bytes that share their shape, as structures in a heap do: a pointer-like
      // word, a counter, the version, zeros, and a random word in every fourth record.
      const std::uint64_t base = 0x00007F0000000000U | (random.next() & 0xFFFFFFF000U);
      page.fill(0);
      for (std::size_t word = 0; word < kPatternWords; word += 8) {
        page[word] = base + word * 64;
        page[word + 1] = index;
        page[word + 2] = word % 32 == 0 ? random.next() : 0;
        page[word + 3] = version;
      }
      return;
    }
  }
}

inline void fill_page(std::uint64_t seed, std::uint64_t index, std::uint64_t version,
                      PatternPage& page) {
  fill_page(page_kind(seed, index, version), seed, index, version, page);
}

}  // namespace pleat::guest
