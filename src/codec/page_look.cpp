// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/page_look.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "base/bytes.h"
#include "base/page.h"
#include "base/prefetch.h"

namespace pleat::codec {
namespace {

constexpr std::size_t kSampleBytes = 64;

// Vectors that every x86-64 and arm64 processor has; wider ones gain nothing here.
using Bytes [[gnu::vector_size(16)]] = std::uint8_t;

// The sum of the bytes of the words, which is less than 65536, where no byte position has more than
// 255 in all.
std::uint64_t sum_of_bytes(const std::uint64_t* words, std::size_t count) {
  constexpr std::uint64_t kEvenBytes = 0x00FF00FF00FF00FF;
  std::uint64_t sums = 0;
  for (std::size_t i = 0; i < count; ++i) sums += words[i];
  const std::uint64_t pairs = (sums & kEvenBytes) + (sums >> 8 & kEvenBytes);
  return pairs * 0x0001000100010001 >> 48;
}

// Of every eighth 64 bytes, those that are neither zero nor the byte 64 or 128 before: of 512.
std::uint64_t unlike_bytes(const std::byte* page) {
  constexpr std::size_t kVectors = kSampleBytes / sizeof(Bytes);
  Bytes counts[kVectors] = {};
  for (std::size_t at = 7 * kSampleBytes; at < kPageSize; at += 8 * kSampleBytes) {
    for (std::size_t i = 0; i < kVectors; ++i) {
      const std::byte* const bytes = page + at + i * sizeof(Bytes);
      const auto value = load<Bytes>(bytes);
      // A comparison gives 255 where it holds.
      counts[i] -=
          reinterpret_cast<Bytes>((value != 0) & (value != load<Bytes>(bytes - kSampleBytes)) &
                                  (value != load<Bytes>(bytes - 2 * kSampleBytes)));
    }
  }
  std::uint64_t words[kSampleBytes / sizeof(std::uint64_t)];
  std::memcpy(words, counts, sizeof(words));
  return sum_of_bytes(words, std::size(words));
}

// One sample in each quarter: a page that is half text is worth compressing.
constexpr std::size_t kSamples = 4;
constexpr std::size_t sample_begin(std::size_t sample) {
  return 7 * kSampleBytes + sample * (kPageSize / kSamples);
}

// Whether 64 bytes have the high bit as often as noise: in 16 to 48 of them, which text and
// counters are far from.
bool has_high_bits_of_noise(const std::byte* sample) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  int high = 0;
  for (std::size_t at = 0; at < kSampleBytes; at += sizeof(std::uint64_t)) {
    high += std::popcount(load_u64(sample + at) & kHighBits);
  }
  return high >= 16 && high <= 48;
}

// Whether each sample of the page is as noise has them: its high bits, and 46 to 63 values, which
// 64 bytes drawn at random leave once in 2000 times.
bool is_noise(const std::byte* page) {
  for (std::size_t sample = 0; sample < kSamples; ++sample) {
    if (!has_high_bits_of_noise(page + sample_begin(sample))) return false;
  }
  // All are marked before any is counted: a load of words waits for the bytes stored last.
  std::uint64_t seen[kSamples][256 / sizeof(std::uint64_t)] = {};
  for (std::size_t sample = 0; sample < kSamples; ++sample) {
    auto* const flags = reinterpret_cast<std::uint8_t*>(seen[sample]);
    const std::byte* const bytes = page + sample_begin(sample);
    for (std::size_t i = 0; i < kSampleBytes; ++i) flags[static_cast<std::uint8_t>(bytes[i])] = 1;
  }
  for (const auto& words : seen) {
    const std::uint64_t values = sum_of_bytes(words, std::size(words));
    if (values < 46 || values > 63) return false;
  }
  return true;
}

// Whether the first 4 bytes come again in the next 512.
bool comes_again(const std::byte* bytes) {
  constexpr std::size_t kNear = 512;
  Bytes found = {};
  for (std::size_t at = 1; at <= kNear; at += sizeof(Bytes)) {
    Bytes equal = ~Bytes{};
    for (std::size_t i = 0; i < 4; ++i) {
      equal &= reinterpret_cast<Bytes>(load<Bytes>(bytes + at + i) ==
                                       static_cast<std::uint8_t>(bytes[i]));
    }
    found |= equal;
  }
  std::uint64_t halves[2];
  std::memcpy(halves, &found, sizeof(halves));
  return (halves[0] | halves[1]) != 0;
}

}  // namespace

PageLook look_at(const std::byte* page, std::span<const std::byte> dst) noexcept {
  // Noise has 495 to 511; on real pages with more than this, LZ4's blocks are the shorter ones.
  constexpr std::uint64_t kUnlikeMin = 420;
  // The page may be somewhere cold; whatever comes next reads all of it.
  prefetch_page(page);
  if (unlike_bytes(page) < kUnlikeMin) return PageLook::kWords;
  if (comes_again(page + kPageSize / 4)) return PageLook::kBytes;
  prefetch_second_level(dst.data(), std::min(dst.size(), kPageSize));
  return is_noise(page) ? PageLook::kNoise : PageLook::kBytes;
}

}  // namespace pleat::codec
