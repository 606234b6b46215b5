// SPDX-License-Identifier: MIT OR Apache-2.0
// zram's counters, event by event: each row is a line of the kernel's behaviour
// (drivers/block/zram/zram_drv.c), so that who knows mm_stat and io_stat is not surprised.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "store/pages.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

const TestPage kZeros{};
const TestPage kSame = same_filled_page(0x1111'1111'1111'1111);
const TestPage kSameInObject = same_filled_page(0x0123'4567'89AB'CDEF);
const TestPage kCompressible = mixed_page(1, 1000);
const TestPage kSmaller = mixed_page(2, 500);
const TestPage kRandom = random_page(3);

std::uint64_t compressed_size(const TestPage& page) {
  auto codec = codec::PageCodec::open("lz4", *test_kernels());
  TestPage out;
  return codec->compress(page.data(), out.data(), out.size());
}

// Changes that an event is to make; all else is to stay.
struct Change {
  std::int64_t pages = 0;
  std::int64_t compressed = 0;
  std::int64_t same = 0;
  std::int64_t huge = 0;
  std::int64_t huge_since = 0;
  std::int64_t notify_free = 0;
};

struct Event {
  std::string name;
  std::function<void(Store::Session&)> before;
  std::function<void(Store::Session&)> event;
  Change change;
};

void put(Store::Session& session, const TestPage& page) {
  ASSERT_EQ(session.write(1, page.data()), StoreStatus::kOk);
}
std::function<void(Store::Session&)> writes(const TestPage& page) {
  return [page](Store::Session& session) { put(session, page); };
}
std::function<void(Store::Session&)> discards(std::uint64_t slot, std::uint64_t count) {
  return [slot, count](Store::Session& session) { session.discard(slot, count); };
}

std::vector<Event> events() {
  const auto size = static_cast<std::int64_t>(compressed_size(kCompressible));
  const auto smaller = static_cast<std::int64_t>(compressed_size(kSmaller));
  const auto nothing = [](Store::Session&) {};
  const auto reads = [](Store::Session& session) { (void)read_page(session, 1); };
  const auto part = [](Store::Session& session) {
    ASSERT_EQ(session.write_part(1, 512, kCompressible.data() + 512, 512), StoreStatus::kOk);
  };
  return {
      {"write of zeros", nothing, writes(kZeros), {.pages = 1, .same = 1}},
      {"write of a same-filled page", nothing, writes(kSame), {.pages = 1, .same = 1}},
      {"same-filled, pattern in an object",
       nothing,
       writes(kSameInObject),
       {.pages = 1, .same = 1}},
      {"write, compressible", nothing, writes(kCompressible), {.pages = 1, .compressed = size}},
      {"write, incompressible",
       nothing,
       writes(kRandom),
       {.pages = 1, .compressed = 4096, .huge = 1, .huge_since = 1}},
      {"compressible over compressible",
       writes(kCompressible),
       writes(kSmaller),
       {.compressed = smaller - size}},
      {"same-filled over compressible",
       writes(kCompressible),
       writes(kSame),
       {.compressed = -size, .same = 1}},
      {"compressible over same-filled",
       writes(kSameInObject),
       writes(kCompressible),
       {.compressed = size, .same = -1}},
      {"same-filled over incompressible: huge_pages_since stays",
       writes(kRandom),
       writes(kZeros),
       {.compressed = -4096, .same = 1, .huge = -1}},
      {"incompressible over incompressible",
       writes(kRandom),
       writes(random_page(4)),
       {.huge_since = 1}},
      {"discard, compressible",
       writes(kCompressible),
       discards(1, 1),
       {.pages = -1, .compressed = -size, .notify_free = 1}},
      {"discard, same-filled",
       writes(kSame),
       discards(1, 1),
       {.pages = -1, .same = -1, .notify_free = 1}},
      {"discard, pattern in an object",
       writes(kSameInObject),
       discards(1, 1),
       {.pages = -1, .same = -1, .notify_free = 1}},
      {"discard, incompressible",
       writes(kRandom),
       discards(1, 1),
       {.pages = -1, .compressed = -4096, .huge = -1, .notify_free = 1}},
      {"discard, empty", nothing, discards(1, 1), {.notify_free = 1}},
      {"discard of several, one of them stored",
       writes(kSame),
       discards(0, 64),
       {.pages = -1, .same = -1, .notify_free = 64}},
      {"discard of none", writes(kSame), discards(1, 0), {}},
      {"read of a stored page", writes(kCompressible), reads, {}},
      {"read of an unwritten page", nothing, reads, {}},
      {"part of a page, so that it stays as it was", writes(kCompressible), part, {}},
  };
}

TEST(Statistics, EachEventHasItsEffectAndNoOther) {
  for (const Event& event : events()) {
    SCOPED_TRACE(event.name);
    const auto store = make_store(small_store(64));
    const auto session = make_session(*store);
    event.before(*session);
    const StoreStats old = store->stats();
    event.event(*session);
    const StoreStats now = store->stats();
    const auto change = [](std::uint64_t from, std::uint64_t to) {
      return static_cast<std::int64_t>(to - from);
    };
    EXPECT_EQ(change(old.orig_data_size, now.orig_data_size), event.change.pages * 4096);
    EXPECT_EQ(change(old.compr_data_size, now.compr_data_size), event.change.compressed);
    EXPECT_EQ(change(old.same_pages, now.same_pages), event.change.same);
    EXPECT_EQ(change(old.huge_pages, now.huge_pages), event.change.huge);
    EXPECT_EQ(change(old.huge_pages_since, now.huge_pages_since), event.change.huge_since);
    EXPECT_EQ(change(old.notify_free, now.notify_free), event.change.notify_free);
    EXPECT_EQ(now.failed_reads, 0u);
    EXPECT_EQ(now.failed_writes, 0u);
    EXPECT_EQ(now.corrupt_pages, 0u);
    EXPECT_EQ(now.no_reserve_writes, 0u);
    EXPECT_EQ(now.pages_compacted, 0u);
    EXPECT_GE(now.mem_used_max, now.mem_used_total);
  }
}

TEST(Statistics, MemoryUsedIsPoolPagesNotSlotTable) {
  const auto store = make_store(small_store(4096));
  const auto session = make_session(*store);
  EXPECT_EQ(store->stats().mem_used_total, 0u);
  EXPECT_EQ(store->stats().slot_table_bytes, 4096u * 8);
  put(*session, kSame);
  EXPECT_EQ(store->stats().mem_used_total, 0u);
  put(*session, kRandom);
  EXPECT_EQ(store->stats().mem_used_total, 4096u);
  put(*session, kCompressible);
  EXPECT_EQ(store->stats().mem_used_total,
            kSizeClasses.classes[StoreInspector::size_class(*store, 1)].pages * 4096u);
  session->discard(1, 1);
  EXPECT_EQ(store->stats().mem_used_total, 0u);
}

TEST(Statistics, PeakIsResetToTheCurrentValue) {
  const auto store = make_store(small_store(64));
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 10; ++slot) {
    ASSERT_EQ(session->write(slot, kRandom.data()), StoreStatus::kOk);
  }
  session->discard(0, 7);
  EXPECT_EQ(store->stats().mem_used_max, 10 * 4096u);
  store->reset_mem_used_max();
  EXPECT_EQ(store->stats().mem_used_max, 3 * 4096u);
}

TEST(Statistics, ClosedSessionsAndOthersPagesAreCounted) {
  const auto store = make_store(small_store(64));
  auto first = make_session(*store);
  auto second = make_session(*store);
  put(*first, kRandom);
  first->discard(40, 3);
  first.reset();
  EXPECT_EQ(store->stats().huge_pages, 1u);
  EXPECT_EQ(store->stats().notify_free, 3u);
  second->discard(1, 1);
  EXPECT_EQ(store->stats().huge_pages, 0u);
  EXPECT_EQ(store->stats().orig_data_size, 0u);
  second.reset();
  const auto third = make_session(*store);
  put(*third, kRandom);
  EXPECT_EQ(store->stats().huge_pages, 1u);
  EXPECT_EQ(store->stats().huge_pages_since, 2u);
  EXPECT_EQ(store->stats().notify_free, 4u);
}

TEST(Statistics, MetadataIsWhatHeadersAndMapsTake) {
  const auto store = make_store(small_store(64));
  const auto session = make_session(*store);
  const std::uint64_t empty = store->stats().metadata_bytes;
  put(*session, kCompressible);
  EXPECT_EQ(store->stats().metadata_bytes, empty + sizeof(ObjectHeader) + kSpanHeaderBytes);
  put(*session, kRandom);
  EXPECT_EQ(store->stats().metadata_bytes, empty);
  put(*session, kSameInObject);
  EXPECT_EQ(store->stats().metadata_bytes, empty + sizeof(ObjectHeader) + kSpanHeaderBytes);
}

}  // namespace
}  // namespace pleat::store
