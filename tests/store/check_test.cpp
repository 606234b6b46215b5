// SPDX-License-Identifier: MIT OR Apache-2.0
// A flipped bit must change the check, whatever the length, wherever the bit.
#include "store/check.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "repetitions.h"
#include "store/object.h"

namespace pleat::store {
namespace {

std::vector<std::byte> random_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

void flip(std::vector<std::byte>& bytes, std::size_t bit) {
  bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
}

TEST(Check, EveryFlippedBitChangesIt) {
  for (const std::size_t size :
       {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 127, 128, 129, 143, 255, 256, 257, 1300, 3632, 4096}) {
    std::vector<std::byte> bytes = random_bytes(size, size);
    const auto check = static_cast<std::uint32_t>(check_bytes(bytes.data(), size, 5));
    for (std::size_t bit = 0; bit < size * 8; ++bit) {
      flip(bytes, bit);
      ASSERT_NE(static_cast<std::uint32_t>(check_bytes(bytes.data(), size, 5)), check)
          << size << " bytes, bit " << bit;
      flip(bytes, bit);
    }
  }
}

TEST(Check, FlipsInZerosAndOnesAreFoundToo) {
  for (const std::byte fill : {std::byte{0}, std::byte{0xFF}}) {
    std::vector<std::byte> bytes(1300, fill);
    const auto check = static_cast<std::uint32_t>(check_bytes(bytes.data(), bytes.size(), 0));
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      flip(bytes, bit);
      ASSERT_NE(static_cast<std::uint32_t>(check_bytes(bytes.data(), bytes.size(), 0)), check);
      flip(bytes, bit);
    }
  }
}

TEST(Check, SeveralFlippedBitsAreFound) {
  std::mt19937_64 random(11);
  const std::vector<std::byte> sound = random_bytes(1300, 1);
  const auto check = static_cast<std::uint32_t>(check_bytes(sound.data(), sound.size(), 0));
  for (unsigned round = 0; round < test::repetitions(20'000); ++round) {
    std::vector<std::byte> bytes = sound;
    const unsigned flips = 2 + static_cast<unsigned>(random() % 15);
    for (unsigned i = 0; i < flips; ++i) flip(bytes, random() % (bytes.size() * 8));
    if (bytes == sound) continue;
    ASSERT_NE(static_cast<std::uint32_t>(check_bytes(bytes.data(), bytes.size(), 0)), check);
  }
}

TEST(Check, MovedWordsAreFound) {
  const std::vector<std::byte> sound = random_bytes(1024, 3);
  const std::uint64_t check = check_bytes(sound.data(), sound.size(), 0);
  for (std::size_t a = 0; a < 1024; a += 8) {
    for (std::size_t b = a + 8; b < 1024; b += 8) {
      std::vector<std::byte> bytes = sound;
      std::swap_ranges(bytes.begin() + static_cast<long>(a),
                       bytes.begin() + static_cast<long>(a) + 8,
                       bytes.begin() + static_cast<long>(b));
      ASSERT_NE(check_bytes(bytes.data(), bytes.size(), 0), check) << a << ' ' << b;
    }
  }
}

TEST(Check, LengthAndSeedCount) {
  const std::vector<std::byte> bytes(4096, std::byte{0});
  std::set<std::uint64_t> seen;
  for (std::size_t size = 0; size <= 4096; ++size) {
    EXPECT_TRUE(seen.insert(check_bytes(bytes.data(), size, 0)).second) << size;
  }
  for (std::uint64_t bit = 0; bit < 64; ++bit) {
    EXPECT_TRUE(seen.insert(check_bytes(bytes.data(), 100, std::uint64_t{1} << bit)).second) << bit;
  }
}

TEST(Check, SlotAndKindCount) {
  const std::vector<std::byte> bytes = random_bytes(64, 1);
  const SlotWord word = SlotWord::compressed(codec::CodecId::kLz4, 9, 64);
  const std::uint64_t check = data_check(bytes.data(), 64, 7, word);
  EXPECT_NE(data_check(bytes.data(), 64, 8, word), check);
  EXPECT_NE(data_check(bytes.data(), 64, 7, SlotWord::same_object(9)), check);
  EXPECT_EQ(data_check(bytes.data(), 64, 7, word.after(word).with_lock()), check);
}

TEST(Check, ReadsNothingBehindTheEnd) {
  // ASan knows where each of these ends.
  for (std::size_t size = 1; size <= 400; ++size) {
    const std::vector<std::byte> bytes = random_bytes(size, size);
    const std::vector<std::byte> copy = bytes;
    ASSERT_EQ(check_bytes(bytes.data(), size, 1), check_bytes(copy.data(), size, 1));
  }
}

}  // namespace
}  // namespace pleat::store
