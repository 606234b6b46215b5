// SPDX-License-Identifier: MIT OR Apache-2.0
// A store's memory that outlives the process that serves it: killed at any time, taken over by
// another, with every page that was written. each_instruction_test.cpp goes through one operation.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "repetitions.h"
#include "store/adoption.h"
#include "store/wordy_page.h"

namespace pleat::store {
namespace {

TEST(Adoption, ContentsAndStatisticsAreAsTheyWere) {
  const StoreOptions options = small_store(2048);
  const Memory kept = make_shared_memory(options);
  StoreStats before;
  {
    const auto store = begin_store(options, kept);
    const auto session = make_session(*store);
    for (std::uint64_t slot = 0; slot < 2000; ++slot) {
      ASSERT_EQ(session->write(slot, any_page(slot).data()), StoreStatus::kOk);
    }
    for (std::uint64_t slot = 0; slot < 2000; slot += 3) session->discard(slot, 1);
    EXPECT_GT(store->compact(), 0u);
    ASSERT_TRUE(store->settle(20'000));
    before = store->stats();
  }
  const auto store = begin_store(options, kept);
  ASSERT_TRUE(store->settle(20'000));
  const StoreStats after = store->stats();
  EXPECT_EQ(after.orig_data_size, before.orig_data_size);
  EXPECT_EQ(after.compr_data_size, before.compr_data_size);
  EXPECT_EQ(after.mem_used_total, before.mem_used_total);
  EXPECT_EQ(after.same_pages, before.same_pages);
  EXPECT_EQ(after.huge_pages, before.huge_pages);
  EXPECT_EQ(after.metadata_bytes, before.metadata_bytes);
  EXPECT_EQ(after.pages_compacted, before.pages_compacted);
  EXPECT_EQ(after.reserve_bytes, before.reserve_bytes);
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 2048; ++slot) {
    const bool is_there = slot < 2000 && slot % 3 != 0;
    ASSERT_EQ(read_page(*session, slot), is_there ? any_page(slot) : TestPage{}) << slot;
  }
  // Room that freed objects have left in the old spans is found and used.
  for (std::uint64_t slot = 0; slot < 2000; slot += 3) {
    ASSERT_EQ(session->write(slot, any_page(slot).data()), StoreStatus::kOk);
  }
  EXPECT_LE(store->stats().mem_used_total, before.mem_used_max);
  expect_nothing_leaked(*store, *session);
}

TEST(Adoption, EventsOfADeadProcessStayCounted) {
  StoreOptions options = small_store(64);
  options.mem_limit_bytes = 4 * kPageSize;
  const Memory kept = make_shared_memory(options);
  StoreStats before;
  {
    const auto store = begin_store(options, kept);
    const auto first = make_session(*store);
    const auto second = make_session(*store);
    for (std::uint64_t slot = 0; slot < 6; ++slot) {
      (void)first->write(slot, random_page(slot).data());
    }
    StoreInspector::object(*store, 1)[100] ^= std::byte{1};
    TestPage page;
    EXPECT_EQ(second->read(1, page.data()), StoreStatus::kCorrupt);
    second->discard(0, 2);
    before = store->stats();
  }
  EXPECT_EQ(before.huge_pages_since, 4u);
  EXPECT_EQ(before.mem_used_max, 4 * kPageSize);
  EXPECT_EQ(before.mem_used_total, 2 * kPageSize);
  const auto store = begin_store(options, kept);
  for (int count = 1; count <= 2; ++count) {
    const StoreStats after = store->stats();
    EXPECT_EQ(after.huge_pages_since, before.huge_pages_since);
    EXPECT_EQ(after.failed_reads, 1u);
    EXPECT_EQ(after.failed_writes, 1u + count);
    EXPECT_EQ(after.over_limit_writes, 1u + count);
    EXPECT_EQ(after.corrupt_pages, 1u);
    EXPECT_EQ(after.notify_free, 2u);
    EXPECT_EQ(after.orig_data_size, before.orig_data_size);
    EXPECT_EQ(after.huge_pages, before.huge_pages);
    EXPECT_EQ(after.mem_used_max, before.mem_used_max);
    // And they go on from there.
    store->set_mem_limit(1);
    (void)make_session(*store)->write(9, random_page(9).data());
  }
}

TEST(Adoption, AgesAndMarksAreAsTheyWere) {
  const StoreOptions options = small_store(64);
  const Memory kept = make_shared_memory(options);
  {
    const auto store = begin_store(options, kept);
    const auto session = make_session(*store);
    for (std::uint64_t slot = 0; slot < 3; ++slot) {
      ASSERT_EQ(session->write(slot, random_page(slot).data()), StoreStatus::kOk);
    }
    EXPECT_EQ(*store->mark_idle(0), 3u);
    (void)read_page(*session, 1);
    StoreInspector::state(*store).ager.advance(0, 1);
    (void)read_page(*session, 2);
  }
  const auto store = begin_store(options, kept);
  EXPECT_EQ(StoreInspector::word(*store, 0).age(), SlotWord::kIdle);
  EXPECT_EQ(StoreInspector::word(*store, 1).age(), 1u);
  EXPECT_EQ(StoreInspector::word(*store, 2).age(), 0u);
}

TEST(Adoption, LocksOfADeadProcessAreCleared) {
  const StoreOptions options = small_store(64);
  const Memory kept = make_shared_memory(options);
  {
    const auto store = begin_store(options, kept);
    const auto session = make_session(*store);
    ASSERT_EQ(session->write(5, random_page(5).data()), StoreStatus::kOk);
    StoreInspector::set_word(*store, 5, StoreInspector::word(*store, 5).with_lock());
  }
  const auto store = begin_store(options, kept);
  const auto session = make_session(*store);
  EXPECT_EQ(read_page(*session, 5), random_page(5));
}

TEST(Adoption, AnotherLayoutIsRefused) {
  const StoreOptions options = small_store(64);
  const Memory kept = make_shared_memory(options);
  ASSERT_NE(begin_store(options, kept), nullptr);
  auto& header = *reinterpret_cast<StoreHeader*>(kept.base());
  EXPECT_TRUE(Store::check_memory(options, kept));
  ++header.version;
  const auto checked = Store::check_memory(options, kept);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, EPROTO);
  const std::string version = "layout version " + std::to_string(header.version);
  EXPECT_NE(checked.error().message.find(version), std::string::npos) << checked.error().message;
  auto store = Store::stand_by(options, *Memory::attach(kept.id()));
  ASSERT_TRUE(store);
  const auto begun = (*store)->begin();
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, EPROTO);
  EXPECT_NE(begun.error().message.find(version), std::string::npos) << begun.error().message;
  const auto larger = Store::stand_by(small_store(1 << 20), *Memory::attach(kept.id()));
  ASSERT_FALSE(larger);
  EXPECT_EQ(larger.error().code, EPROTO);
  EXPECT_FALSE(Store::check_memory(options, make_shared_memory(options)));  // never used
}

TEST(Adoption, DamagedSlotWordsDoNoHarmToOthers) {
  const StoreOptions options = small_store(1024);
  const Memory kept = make_shared_memory(options);
  std::mt19937_64 random(7);
  {
    const auto store = begin_store(options, kept);
    const auto session = make_session(*store);
    for (std::uint64_t slot = 0; slot < 1000; ++slot) {
      ASSERT_EQ(session->write(slot, any_page(slot).data()), StoreStatus::kOk);
    }
    for (std::uint64_t slot = 0; slot < 1000; slot += 10) {
      StoreInspector::set_word(*store, slot, SlotWord(random()));
    }
  }
  const auto store = begin_store(options, kept);
  const auto session = make_session(*store);
  ASSERT_TRUE(store->settle(20'000));
  (void)store->compact();
  for (std::uint64_t slot = 0; slot < 1000; ++slot) {
    if (slot % 10 == 0) continue;
    ASSERT_EQ(read_page(*session, slot), any_page(slot)) << slot;
  }
}

TEST(Adoption, MemoryThatIsGoneIsNotTakenOver) {
  int id = 0;
  {
    const Memory memory = make_shared_memory(small_store(64));
    id = memory.id();
    EXPECT_TRUE(shared_segment(id).exists);
  }
  EXPECT_FALSE(shared_segment(id).exists);
  const auto memory = Memory::attach(id);
  ASSERT_FALSE(memory);
  EXPECT_NE(memory.error().message.find("gone"), std::string::npos) << memory.error().message;
}

// What writers were about to do, and what they have done, in memory that outlives them.
struct Journal {
  static constexpr std::uint64_t kSlots = 512;
  std::atomic<std::uint64_t> meant[kSlots];  // seed of the page; 0 = discarded
  std::atomic<std::uint64_t> done[kSlots];
  std::atomic<std::uint64_t> failures;
  std::atomic<std::uint64_t> operations;
};

// Any page, and such that recompression makes smaller.
TestPage journal_page(std::uint64_t seed) {
  return seed % 5 == 0 ? wordy_page(seed, kPageSize) : any_page(seed);
}

// The seeds of the pages that the slot may hold.
bool holds(Store::Session& session, std::uint64_t slot, std::uint64_t seed) {
  TestPage page;
  if (session.read(slot, page.data()) != StoreStatus::kOk) return false;
  return page == (seed == 0 ? TestPage{} : journal_page(seed));
}

void check_journal(Store::Session& session, Journal& journal) {
  for (std::uint64_t slot = 0; slot < Journal::kSlots; ++slot) {
    if (holds(session, slot, journal.done[slot])) continue;
    if (holds(session, slot, journal.meant[slot])) {
      journal.done[slot] = journal.meant[slot].load();
    } else {
      ++journal.failures;
    }
  }
}

// Writes and discards at random places of the slots `part`, `part` + parts, ... until it is killed.
void churn(Store& store, Journal& journal, unsigned part, unsigned parts, std::uint64_t seed) {
  const auto session = make_session(store);
  std::mt19937_64 random(seed);
  while (true) {
    const std::uint64_t slot = random() % (Journal::kSlots / parts) * parts + part;
    const std::uint64_t fresh = random() % 5 == 0 ? 0 : random() >> 32 | 1;
    journal.meant[slot] = fresh;
    if (fresh == 0) {
      session->discard(slot, 1);
    } else if (session->write(slot, journal_page(fresh).data()) != StoreStatus::kOk) {
      ++journal.failures;
    }
    journal.done[slot] = fresh;
    ++journal.operations;
  }
}

[[noreturn]] void serve_until_killed(const StoreOptions& options, const Memory& kept,
                                     Journal& journal, std::uint64_t seed) {
  const auto store = begin_store(options, kept);
  if (!store) _exit(3);
  // The writers start at once, while most spans are unknown, and so does compaction.
  std::thread other([&] { churn(*store, journal, 1, 2, seed + 1); });
  std::thread compacting([&] {
    while (true) (void)store->compact();
  });
  std::thread recompressing([&] {
    while (true) (void)store->recompress({}).has_value();
  });
  const auto reader = make_session(*store);
  churn(*store, journal, 0, 2, seed);
  _exit(4);
}

TEST(Adoption, AProcessMayBeKilledAtAnyTimeAgainAndAgain) {
  StoreOptions options = small_store(Journal::kSlots);
  options.reserve_bytes = 1 << 20;
  options.codec = "lz4:fast";
  options.recompress = "lz4hc";
  const Memory kept = make_shared_memory(options);
  auto* const journal = static_cast<Journal*>(
      mmap(nullptr, sizeof(Journal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(journal, MAP_FAILED);
  std::mt19937_64 random(11);
  for (unsigned round = 0; round < test::repetitions(60); ++round) {
    const std::uint64_t before = journal->operations;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) serve_until_killed(options, kept, *journal, round * 2 + 1);
    // Killed after a number of operations, so that a slow machine does as much.
    const std::uint64_t enough = before + 1 + random() % 800;
    int status = 0;
    while (journal->operations < enough && waitpid(child, &status, WNOHANG) == 0) usleep(100);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exited with " << WEXITSTATUS(status);
    const auto store = begin_store(options, kept);
    ASSERT_NE(store, nullptr);
    const auto session = make_session(*store);
    check_journal(*session, *journal);
    ASSERT_EQ(journal->failures, 0u) << "in round " << round;
  }
  const auto store = begin_store(options, kept);
  const auto session = make_session(*store);
  expect_nothing_leaked(*store, *session);
  // Memory that nobody needs goes back in the background, after the store has settled, too.
  const auto too_much = [&store] {
    const StoreStats stats = store->stats();
    return StoreInspector::memory_bytes(*store) >
           stats.reserve_bytes + stats.slot_table_bytes + stats.metadata_bytes + kPageSize;
  };
  for (unsigned tries = 0; too_much() && tries < 10'000; ++tries) usleep(1000);
  EXPECT_FALSE(too_much()) << StoreInspector::memory_bytes(*store) << " bytes";
  munmap(journal, sizeof(Journal));
}

}  // namespace
}  // namespace pleat::store
