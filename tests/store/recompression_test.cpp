// SPDX-License-Identifier: MIT OR Apache-2.0
// Recompression must make pages smaller, those that are meant and no others, and never put back one
// that was overwritten or discarded meanwhile; by itself, and by batches of any size.
#include "store/recompressor.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "store/cpu_batches.h"
#include "store/pages.h"
#include "store/recompression_fixture.h"
#include "store/slot_owners.h"
#include "store/store_inspector.h"
#include "store/wordy_page.h"

namespace pleat::store {
namespace {

// The pages of a batch at most; 0: not by batches.
class Recompression : public RecompressionTest, public testing::WithParamInterface<std::size_t> {
 protected:
  static constexpr std::uint64_t kSlots = 256;

  void SetUp() override {
    open(recompressing_store(kSlots));
    if (GetParam() != 0) batches_.emplace("lz4hc", codec::CodecId::kLz4, GetParam());
  }
  RecompressResult recompress(RecompressRequest request = {}) {
    request.batches = batches_ ? &*batches_ : nullptr;
    return RecompressionTest::recompress(request);
  }
  // One in four wordy, raw, without matches, and same-filled.
  static TestPage page_of(std::uint64_t slot) {
    switch (slot % 4) {
      case 0:
        return wordy_page(slot, 4096);
      case 1:
        return random_page(slot);
      case 2:
        return mixed_page(slot, 1000);
      default:
        return same_filled_page(slot * 0x0123'4567'89AB'CDEF);
    }
  }
  void put_all() {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) put(slot, page_of(slot));
  }
  void expect_pages() {
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      ASSERT_EQ(read_page(*session_, slot), page_of(slot)) << slot;
    }
  }

  std::optional<CpuBatches> batches_;
};
INSTANTIATE_TEST_SUITE_P(InBatchesOf, Recompression, testing::Values(0, 1, 7, 4096),
                         testing::PrintToStringParamName());

TEST_P(Recompression, MakesPagesSmallerAndKeepsEachOne) {
  put_all();
  const StoreStats before = store_->stats();
  std::vector<SlotWord> words;
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) words.push_back(word(slot));
  const RecompressResult result = recompress({});
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.next_slot, kSlots);
  EXPECT_EQ(result.pages_recompressed, kSlots / 4);
  EXPECT_EQ(result.pages_kept, kSlots / 2);
  const StoreStats after = store_->stats();
  EXPECT_EQ(after.compr_data_size, before.compr_data_size - result.bytes_saved);
  EXPECT_GT(result.bytes_saved, kSlots / 4 * 16);
  EXPECT_EQ(after.pages_recompressed, result.pages_recompressed);
  EXPECT_EQ(after.recompress_saved, result.bytes_saved);
  EXPECT_EQ(after.orig_data_size, before.orig_data_size);
  EXPECT_EQ(after.huge_pages, before.huge_pages);
  EXPECT_EQ(after.same_pages, before.same_pages);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    const SlotWord now = word(slot);
    ASSERT_EQ(now.settled(), slot % 4 != 3) << slot;
    ASSERT_EQ(now.age(), 0u);
    if (slot % 4 != 0) {
      ASSERT_EQ(now.with_settled(false), words[slot]) << slot;
      continue;
    }
    ASSERT_LT(size_class_of(object_bytes(now.length())),
              size_class_of(object_bytes(words[slot].length())));
  }
  expect_pages();
  session_->discard(0, kSlots);
  EXPECT_EQ(store_->stats().compr_data_size, 0u);
  EXPECT_EQ(store_->stats().mem_used_total, 0u);
}

TEST_P(Recompression, TriesAPageOnceUntilItIsWrittenAnew) {
  put_all();
  (void)recompress({});
  RecompressResult again = recompress({});
  EXPECT_TRUE(again.done);
  EXPECT_EQ(again.pages_recompressed + again.pages_kept, 0u);
  (void)read_page(*session_, 4);
  put(8, page_of(8));
  put(9, page_of(9));
  again = recompress({});
  EXPECT_EQ(again.pages_recompressed, 1u);
  EXPECT_EQ(again.pages_kept, 1u);
  expect_pages();
}

TEST_P(Recompression, TakesThePagesThatAreMeant) {
  put_all();
  EXPECT_EQ(recompress({.only_idle = true}).pages_recompressed, 0u);
  ASSERT_TRUE(store_->mark_idle(0));
  for (std::uint64_t slot = 0; slot < kSlots / 2; ++slot) (void)read_page(*session_, slot);
  RecompressResult result = recompress({.only_idle = true, .only_huge = true});
  EXPECT_EQ(result.pages_recompressed, 0u);
  EXPECT_EQ(result.pages_kept, kSlots / 8);
  result = recompress({.only_idle = true});
  EXPECT_EQ(result.pages_recompressed, kSlots / 8);
  EXPECT_EQ(result.pages_kept, kSlots / 8);
  // The mark is of the page, whatever it is stored as.
  for (std::uint64_t slot = kSlots / 2; slot < kSlots; ++slot) {
    ASSERT_EQ(word(slot).age(), slot % 4 != 3 ? SlotWord::kIdle : 0) << slot;
  }
  result = recompress({.only_huge = true});
  EXPECT_EQ(result.pages_kept, kSlots / 8);
  const std::uint64_t bytes = word(0).length();
  (void)recompress({.bytes_min = bytes + 1});
  EXPECT_FALSE(word(0).settled());
  (void)recompress({.bytes_min = bytes});
  EXPECT_TRUE(word(0).settled());
  EXPECT_FALSE(word(2).settled());
  result = recompress({.bytes_min = kPageSize});
  EXPECT_EQ(result.pages_recompressed + result.pages_kept, 0u);
  EXPECT_EQ(store_->recompress({.bytes_min = kPageSize + 1}).error().code, EINVAL);
  expect_pages();
}

TEST_P(Recompression, GoesOnWhereItWasCutShort) {
  put_all();
  RecompressRequest request{.pages_max = 3};
  std::uint64_t pages = 0;
  int passes = 0;
  for (RecompressResult result; !result.done; ++passes) {
    ASSERT_LT(passes, 100);
    result = recompress(request);
    EXPECT_LE(result.pages_recompressed + result.pages_kept, 3u);
    EXPECT_GE(result.next_slot, request.first_slot);
    pages += result.pages_recompressed;
    request.first_slot = result.next_slot;
  }
  EXPECT_EQ(pages, kSlots / 4);
  EXPECT_GE(passes, static_cast<int>(kSlots / 4));
  put_all();
  request = {.duration_ns = 1};
  EXPECT_FALSE(recompress(request).done);
  expect_pages();
}

TEST_P(Recompression, IncompressiblePagesBecomeCompressedOnes) {
  // The first codec gives up on it, the second does not.
  for (std::size_t bytes = kPageSize; word(0).kind() != SlotWord::Kind::kRaw; bytes -= 16) {
    ASSERT_GT(bytes, 16u);
    put(0, wordy_page(1, bytes));
  }
  EXPECT_EQ(store_->stats().huge_pages, 1u);
  const TestPage page = read_page(*session_, 0);
  const RecompressResult result = recompress({.only_huge = true});
  EXPECT_EQ(result.pages_recompressed, 1u);
  EXPECT_EQ(word(0).kind(), SlotWord::Kind::kCompressed);
  EXPECT_EQ(store_->stats().huge_pages, 0u);
  EXPECT_EQ(store_->stats().huge_pages_since, 1u);
  EXPECT_EQ(read_page(*session_, 0), page);
}

TEST_P(Recompression, LeavesDamagedPagesAndThoseInUse) {
  put_all();
  StoreInspector::object(*store_, 0)[100] ^= std::byte{1};
  const SlotWord locked = word(4).with_lock();
  StoreInspector::set_word(*store_, 4, locked);
  const RecompressResult result = recompress({});
  EXPECT_EQ(result.pages_recompressed, kSlots / 4 - 2);
  EXPECT_EQ(word(4), locked);
  StoreInspector::set_word(*store_, 4, locked.without_lock());
  EXPECT_EQ(store_->stats().corrupt_pages, 0u);
  TestPage page;
  EXPECT_EQ(session_->read(0, page.data()), StoreStatus::kCorrupt);
  put(0, page_of(0));
  expect_pages();
}

TEST_P(Recompression, MakesRoomAtTheMemoryLimit) {
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) put(slot, wordy_page(slot, 4096));
  store_->set_mem_limit(store_->stats().mem_used_total - kPageSize);
  ASSERT_EQ(session_->write(0, random_page(0).data()), StoreStatus::kOverLimit);
  const RecompressResult result = recompress({});
  EXPECT_EQ(result.pages_recompressed, kSlots);
  (void)store_->compact();
  EXPECT_EQ(session_->write(0, random_page(0).data()), StoreStatus::kOk);
}

class RecompressionInBatches : public Recompression {
 protected:
  // What a page's block becomes, in place of what the compressor has made of it.
  void change_block(std::size_t i, const std::function<void(std::vector<std::byte>&)>& change) {
    batches_->meanwhile = [i, change](std::vector<std::vector<std::byte>>& blocks) {
      ASSERT_LT(i, blocks.size());
      change(blocks[i]);
    };
  }
};
INSTANTIATE_TEST_SUITE_P(InBatchesOf, RecompressionInBatches, testing::Values(64),
                         testing::PrintToStringParamName());

TEST_P(RecompressionInBatches, FailureLeavesEachPageAsItWas) {
  put_all();
  std::vector<SlotWord> words;
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) words.push_back(word(slot));
  batches_->error = ENODEV;
  const RecompressResult result = recompress();
  EXPECT_EQ(result.error, ENODEV);
  EXPECT_FALSE(result.done);
  EXPECT_EQ(result.pages_recompressed + result.pages_kept, 0u);
  EXPECT_EQ(batches_->batches, 1);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) ASSERT_EQ(word(slot), words[slot]) << slot;
  expect_pages();
  batches_->error = 0;
  EXPECT_EQ(recompress().pages_recompressed, kSlots / 4);
  expect_pages();
}

// Of pages 0, 1, 2, 4, 5, 6, 8 and so on, since each fourth is same-filled; 0, 4 and 8 get smaller.
TEST_P(RecompressionInBatches, BlockThatIsNoPageOrAnotherOneReplacesNothing) {
  put_all();
  const std::vector<std::byte> junk(100, std::byte{0xFF});
  std::vector<std::byte> other;
  const std::function<void(std::vector<std::byte>&)> changes[] = {
      [&](std::vector<std::byte>& block) { block = junk; },
      [&](std::vector<std::byte>& block) { block.pop_back(); },
      // A sound block, of page 0.
      [&](std::vector<std::byte>& block) { block = other; },
  };
  auto codec = codec::PageCodec::open("lz4hc", *test_kernels());
  ASSERT_TRUE(codec);
  other.resize(kPageSize);
  other.resize(codec->encode(page_of(0).data(), other.data(), kPageSize).size);
  for (const auto& change : changes) {
    put_all();
    change_block(3, change);
    const RecompressResult result = recompress();
    EXPECT_EQ(result.error, EBADMSG);
    EXPECT_EQ(result.pages_recompressed, 1u);
    EXPECT_FALSE(word(4).settled());
    EXPECT_LT(word(4).age(), SlotWord::kClaimed);
    EXPECT_FALSE(word(8).settled());
    EXPECT_LT(word(8).age(), SlotWord::kClaimed);
    expect_pages();
  }
  batches_->meanwhile = nullptr;
  EXPECT_EQ(recompress().pages_recompressed, kSlots / 4 - 1);
  expect_pages();
}

TEST_P(RecompressionInBatches, PagesThatAreUsedMeanwhileAreTheirUsers) {
  put_all();
  const TestPage fresh = wordy_page(1000, 4096);
  batches_->meanwhile = [&](std::vector<std::vector<std::byte>>&) {
    batches_->meanwhile = nullptr;
    put(0, fresh);
    session_->discard(4, 1);
    (void)read_page(*session_, 8);
    // The same page again, which is another one all the same.
    put(12, page_of(12));
    (void)store_->compact();
  };
  const RecompressResult result = recompress();
  EXPECT_EQ(result.error, 0);
  EXPECT_TRUE(result.done);
  EXPECT_EQ(result.pages_recompressed, kSlots / 4 - 4);
  EXPECT_EQ(read_page(*session_, 0), fresh);
  EXPECT_EQ(read_page(*session_, 4), TestPage{});
  for (const std::uint64_t slot : {0, 8, 12}) EXPECT_FALSE(word(slot).settled()) << slot;
  put(0, page_of(0));
  put(4, page_of(4));
  EXPECT_EQ(recompress().pages_recompressed, 4u);
  expect_pages();
}

TEST(RecompressionCodec, IsNeededAndMayBeAnyOther) {
  const auto without = make_store(small_store(64));
  EXPECT_EQ(without->recompress({}).error().code, EOPNOTSUPP);
  StoreOptions options = small_store(64);
  options.recompress = "zip";
  EXPECT_EQ(Store::create(options).error().code, EINVAL);
  // Each decodes what the other has written.
  for (const auto& [first, second] : {std::pair("line", "lz4hc"), std::pair("lz4:fast", "line"),
                                      std::pair("lz4:fast", "zstd,tables=canned"),
                                      std::pair("zstd,tables=canned", "zstd,tables=mixed")}) {
    options.codec = first;
    options.recompress = second;
    const auto store = make_store(options);
    const auto session = make_session(*store);
    std::uint64_t recompressed = 0;
    for (std::uint64_t slot = 0; slot < 64; ++slot) {
      const TestPage page = slot % 2 == 0 ? wordy_page(slot, 4096) : pointer_page(slot);
      ASSERT_EQ(session->write(slot, page.data()), StoreStatus::kOk);
    }
    const auto result = store->recompress({});
    ASSERT_TRUE(result);
    recompressed = result->pages_recompressed;
    EXPECT_GT(recompressed, 0u) << first << ", " << second;
    for (std::uint64_t slot = 0; slot < 64; ++slot) {
      const TestPage page = slot % 2 == 0 ? wordy_page(slot, 4096) : pointer_page(slot);
      ASSERT_EQ(read_page(*session, slot), page) << first << ", " << second << ", " << slot;
    }
  }
}

TEST(RecompressionAtOnce, NoPageComesBackOrIsLost) {
  constexpr std::uint64_t kSlots = 48;
  StoreOptions options = recompressing_store(kSlots);
  options.recompress = "lz4";  // in less time, so that it meets with more
  options.reserve_bytes = 1 << 20;
  const auto store = make_store(options);
  use_slots_while(*store, kSlots, [](std::uint64_t seed) { return wordy_page(seed, 4096); },
                  {[&] {
                     (void)store->compact();
                     (void)store->mark_idle(0).has_value();
                   },
                   [&] { EXPECT_TRUE(store->recompress({})); }});
  EXPECT_GT(store->stats().pages_recompressed, 100u);
}

TEST(RecompressionAtOnce, InBatchesNoPageComesBackOrIsLost) {
  constexpr std::uint64_t kSlots = 48;
  StoreOptions options = recompressing_store(kSlots);
  options.reserve_bytes = 1 << 20;
  const auto store = make_store(options);
  CpuBatches batches("lz4", codec::CodecId::kLz4, 5);
  use_slots_while(*store, kSlots, [](std::uint64_t seed) { return wordy_page(seed, 4096); },
                  {[&] {
                     (void)store->compact();
                     (void)store->mark_idle(0).has_value();
                   },
                   [&] {
                     const auto result = store->recompress({.batches = &batches});
                     EXPECT_TRUE(result && result->error == 0);
                   }});
  EXPECT_GT(store->stats().pages_recompressed, 0u);
}

}  // namespace
}  // namespace pleat::store
