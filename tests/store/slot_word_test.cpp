// SPDX-License-Identifier: MIT OR Apache-2.0
// Fields of the slot word must not run into each other: the format is on the other side of a crash.
#include "store/slot_word.h"

#include <gtest/gtest.h>

namespace pleat::store {
namespace {

constexpr std::uint64_t kLocationMax = (std::uint64_t{1} << 38) - 1;

TEST(SlotWord, ZeroIsEmpty) {
  EXPECT_TRUE(SlotWord(0).empty());
  EXPECT_TRUE(SlotWord().inlined());
  EXPECT_EQ(SlotWord().pattern(), 0u);
  EXPECT_FALSE(SlotWord().same_filled());
}

TEST(SlotWord, CompressedKeepsItsFieldsAtTheirExtremes) {
  for (const std::uint64_t location : {std::uint64_t{0}, std::uint64_t{1}, kLocationMax}) {
    for (const std::size_t length : {1, 2, 255, 256, 3632, 4095, 4096}) {
      const SlotWord word = SlotWord::compressed(codec::CodecId::kLz4, location, length);
      EXPECT_EQ(word.kind(), SlotWord::Kind::kCompressed);
      EXPECT_EQ(word.codec(), codec::CodecId::kLz4);
      EXPECT_EQ(word.location(), location);
      EXPECT_EQ(word.length(), length);
      EXPECT_EQ(word.version(), 0);
      EXPECT_FALSE(word.locked());
      EXPECT_FALSE(word.inlined());
    }
  }
}

TEST(SlotWord, GroupedKeepsItsShareOfTheData) {
  for (const std::uint64_t location : {std::uint64_t{0}, kLocationMax}) {
    for (const std::size_t length : {1, 4, 5, 4096, 16384}) {
      const SlotWord word = SlotWord::grouped(location, length);
      EXPECT_EQ(word.kind(), SlotWord::Kind::kGrouped);
      EXPECT_EQ(word.location(), location);
      EXPECT_EQ(word.length(), (length + 3) / 4);
      EXPECT_EQ(word.stored_bytes(), word.length());
      EXPECT_TRUE(word.ages() && word.in_pool() && word.is_member_at(location));
      EXPECT_FALSE(word.inlined() || word.written_back() || word.is_member_at(location + 1));
      // What has an object is moved without its neighbours.
      EXPECT_FALSE(word.has_object_at(location));
    }
  }
  EXPECT_EQ(SlotWord::grouped(3, 9).bits(), 3 | std::uint64_t{2} << 38 | std::uint64_t{14} << 50);
  const SlotWord page = SlotWord::compressed(codec::CodecId::kLz4, 7, 9);
  EXPECT_FALSE(page.is_member_at(7));
  EXPECT_TRUE(page.has_object_at(7));
}

TEST(SlotWord, BitsAreWhereTheFormatSays) {
  const SlotWord word = SlotWord::compressed(codec::CodecId::kLz4, 3, 2);
  EXPECT_EQ(word.bits(), 3 | std::uint64_t{1} << 38 | std::uint64_t{5} << 50);
  EXPECT_EQ(word.with_lock().bits(), word.bits() | std::uint64_t{1} << 63);
  EXPECT_EQ(word.after(SlotWord()).bits(), word.bits() | std::uint64_t{1} << 58);
}

TEST(SlotWord, RawKeepsPageAndItsBitsOfCheck) {
  for (const std::uint64_t page :
       {std::uint64_t{0}, std::uint64_t{1}, kLocationMax / kGranulesPerPage}) {
    for (const std::uint64_t check : {0ull, 1ull, 0x3FFull, 0x400ull, 0x3FFFFFull, ~0ull}) {
      const SlotWord word = SlotWord::raw(page, check);
      EXPECT_EQ(word.kind(), SlotWord::Kind::kRaw);
      EXPECT_EQ(word.pool_page(), page);
      EXPECT_EQ(word.raw_check(), check & 0x3FFFFF);
      EXPECT_FALSE(word.locked());
      EXPECT_EQ(word.version(), 0);
    }
  }
}

TEST(SlotWord, PatternsComeBackOrAreRefused) {
  const std::uint64_t fits[] = {0,
                                1,
                                ~0ull,
                                0x0001'FFFF'FFFF'FFFF,
                                0xFFFE'0000'0000'0000,
                                0x1234'5678'1234'5678,
                                0x8000'0000'8000'0000,
                                0xFFFF'FFFE'FFFF'FFFE,
                                0x0101'0101'0101'0101};
  for (const std::uint64_t pattern : fits) {
    const auto word = SlotWord::same_filled(pattern);
    ASSERT_TRUE(word) << std::hex << pattern;
    EXPECT_EQ(word->pattern(), pattern);
    EXPECT_EQ(word->after(SlotWord(~0ull >> 1)).pattern(), pattern);
    EXPECT_TRUE(word->same_filled());
    EXPECT_TRUE(word->inlined());
    EXPECT_FALSE(word->empty());
    EXPECT_FALSE(word->locked());
  }
  for (const std::uint64_t pattern : {0x0002'0000'0000'0000ull, 0xFFFD'FFFF'FFFF'FFFFull,
                                      0x0123'4567'89AB'CDEFull, 0x8000'0000'0000'0000ull}) {
    EXPECT_FALSE(SlotWord::same_filled(pattern)) << std::hex << pattern;
  }
}

TEST(SlotWord, SameObjectIsSameFilledButNotInlined) {
  const SlotWord word = SlotWord::same_object(kLocationMax);
  EXPECT_TRUE(word.same_filled());
  EXPECT_FALSE(word.inlined());
  EXPECT_EQ(word.location(), kLocationMax);
}

TEST(SlotWord, VersionRunsThroughEveryKindAndWraps) {
  SlotWord word;
  for (unsigned step = 1; step <= 600; ++step) {
    const SlotWord fresh = step % 3 == 0   ? SlotWord()
                           : step % 3 == 1 ? *SlotWord::same_filled(~0ull)
                                           : SlotWord::raw(5, 7);
    word = fresh.after(word);
    ASSERT_EQ(word.version(), step % 32);
    ASSERT_EQ(word.kind(), fresh.kind());
    ASSERT_FALSE(word.locked());
  }
}

TEST(SlotWord, SettledChangesNothingElse) {
  for (const std::uint64_t bits : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    const SlotWord word(bits);
    EXPECT_TRUE(word.with_settled(true).settled());
    EXPECT_FALSE(word.with_settled(false).settled());
    EXPECT_EQ(word.with_settled(true).bits() ^ word.with_settled(false).bits(),
              std::uint64_t{1} << 57);
    EXPECT_EQ(word.with_settled(bits != 0), word);
    EXPECT_EQ(word.after(word).settled(), word.settled());
  }
}

TEST(SlotWord, AgeChangesNothingElse) {
  for (const std::uint64_t bits : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    for (unsigned age = 0; age < 8; ++age) {
      const SlotWord word = SlotWord(bits).with_age(age);
      EXPECT_EQ(word.age(), age);
      EXPECT_EQ(word.bits() & ~(std::uint64_t{7} << 54), bits & ~(std::uint64_t{7} << 54));
    }
  }
  EXPECT_TRUE(SlotWord::compressed(codec::CodecId::kLz4, 1, 1).ages());
  EXPECT_TRUE(SlotWord::raw(1, 1).ages());
  for (const SlotWord word : {SlotWord(), *SlotWord::same_filled(1), SlotWord::same_object(1)}) {
    EXPECT_FALSE(word.ages());
  }
}

TEST(SlotWord, LockChangesNothingElse) {
  const SlotWord word = SlotWord::compressed(codec::CodecId::kLz4, kLocationMax, 4096)
                            .after(SlotWord(std::uint64_t{0x1E} << 58));
  const SlotWord locked = word.with_lock();
  EXPECT_TRUE(locked.locked());
  EXPECT_EQ(locked.version(), 0x1F);
  EXPECT_EQ(locked.location(), word.location());
  EXPECT_EQ(locked.length(), word.length());
  EXPECT_EQ(locked.codec(), word.codec());
}

TEST(SlotWord, OneThatIsWrittenBackKeepsWhatItsPageWas) {
  const std::uint64_t location = (std::uint64_t{1} << kLocationBits) - 1;
  for (const SlotWord before : {SlotWord::compressed(codec::CodecId::kLine, 77, 1234),
                                SlotWord::raw(99, 0x1234'5678'9ABC'DEF0)}) {
    const bool is_raw = before.kind() == SlotWord::Kind::kRaw;
    const SlotWord aged = before.with_age(SlotWord::kClaimed).with_settled(true);
    const SlotWord word = aged.written_back_to(location).after(aged);
    EXPECT_EQ(word.kind(), SlotWord::Kind::kWrittenBack);
    EXPECT_EQ(word.location(), location);
    EXPECT_EQ(word.length(), is_raw ? kPageSize : 1234);
    EXPECT_EQ(word.version(), before.version() + 1);
    EXPECT_FALSE(word.ages() || word.inlined() || word.in_pool() || word.locked());
    EXPECT_FALSE(word.has_object_at(location));
    EXPECT_EQ(word.accessed(), word);
    const SlotWord stored = word.before_write_back();
    EXPECT_EQ(stored.kind(), before.kind());
    EXPECT_EQ(stored.length(), word.length());
    EXPECT_TRUE(is_raw || stored.codec() == codec::CodecId::kLine);
    EXPECT_EQ(stored.age(), 0u);
  }
}

}  // namespace
}  // namespace pleat::store
