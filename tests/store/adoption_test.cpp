// SPDX-License-Identifier: MIT OR Apache-2.0
// A store's memory that outlives the process that serves it: killed at any time and at any
// instruction, taken over by another, with every page that was written.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "store/pages.h"
#include "store/stamped_page.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

Memory make_shared_memory(const StoreOptions& options) {
  auto memory = Store::make_memory(options);
  if (!memory) {
    ADD_FAILURE() << memory.error().message;
    std::abort();
  }
  Memory::remove(memory->id());  // once nobody is attached
  return *std::move(memory);
}

std::unique_ptr<Store> begin_store(const StoreOptions& options, const Memory& kept) {
  auto memory = Memory::attach(kept.id());
  if (!memory) return nullptr;
  auto store = Store::stand_by(options, *std::move(memory));
  if (!store || !(*store)->begin()) return nullptr;
  return *std::move(store);
}

// A page of one of four kinds: same-filled, compressible, incompressible, or hardly compressible.
TestPage any_page(std::uint64_t seed) {
  return stamped_page(make_stamp(1, seed, static_cast<Shape>(seed % 4 + 1)));
}

void expect_nothing_leaked(Store& store, Store::Session& session) {
  session.discard(0, store.slots());
  ASSERT_TRUE(store.settle(20'000));
  const StoreStats stats = store.stats();
  EXPECT_EQ(stats.mem_used_total, 0u);
  EXPECT_EQ(stats.orig_data_size, 0u);
  EXPECT_EQ(stats.compr_data_size, 0u);
}

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
  EXPECT_NE(checked.error().message.find("layout version 4"), std::string::npos)
      << checked.error().message;
  auto store = Store::stand_by(options, *Memory::attach(kept.id()));
  ASSERT_TRUE(store);
  const auto begun = (*store)->begin();
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, EPROTO);
  EXPECT_NE(begun.error().message.find("layout version 4"), std::string::npos)
      << begun.error().message;
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

// The seeds of the pages that the slot may hold.
bool holds(Store::Session& session, std::uint64_t slot, std::uint64_t seed) {
  TestPage page;
  if (session.read(slot, page.data()) != StoreStatus::kOk) return false;
  return page == (seed == 0 ? TestPage{} : any_page(seed));
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
    } else if (session->write(slot, any_page(fresh).data()) != StoreStatus::kOk) {
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
  const auto reader = make_session(*store);
  churn(*store, journal, 0, 2, seed);
  _exit(4);
}

TEST(Adoption, AProcessMayBeKilledAtAnyTimeAgainAndAgain) {
  StoreOptions options = small_store(Journal::kSlots);
  options.reserve_bytes = 1 << 20;
  const Memory kept = make_shared_memory(options);
  auto* const journal = static_cast<Journal*>(
      mmap(nullptr, sizeof(Journal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(journal, MAP_FAILED);
  std::mt19937_64 random(11);
  for (unsigned round = 0; round < 60; ++round) {
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
  const StoreStats stats = store->stats();
  EXPECT_LE(StoreInspector::memory_bytes(*store),
            stats.reserve_bytes + stats.slot_table_bytes + stats.metadata_bytes + kPageSize);
  munmap(journal, sizeof(Journal));
}

// One instruction at a time takes too long where a sanitizer has added most of them.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
// The memory of one store beside a copy of another's.
class Snapshot {
 public:
  explicit Snapshot(const StoreOptions& options, const Memory& original)
      : original_(original), copy_(make_shared_memory(options)) {}

  // Whether anything has changed since the last call.
  bool take() {
    std::vector<bool> present(original_.bytes() / kPageSize);
    EXPECT_TRUE(original_.find_present(0, present));
    bool changed = false;
    for (std::size_t page = 0; page < present.size(); ++page) {
      if (!present[page]) continue;
      const std::byte* const from = original_.base() + page * kPageSize;
      std::byte* const to = seen(page);
      if (std::memcmp(from, to, kPageSize) == 0) continue;
      std::memcpy(to, from, kPageSize);
      changed = true;
    }
    if (!changed) return false;
    for (std::size_t page = 0; page < present.size(); ++page) {
      if (present[page]) {
        std::memcpy(copy_.base() + page * kPageSize, seen(page), kPageSize);
      } else {
        (void)copy_.give_back(page * kPageSize, kPageSize);
      }
    }
    return true;
  }
  const Memory& memory() const { return copy_; }

 private:
  std::byte* seen(std::size_t page) {
    if (seen_.size() <= page) seen_.resize(original_.bytes() / kPageSize);
    if (seen_[page].empty()) seen_[page].resize(kPageSize);
    return seen_[page].data();
  }

  const Memory& original_;
  Memory copy_;
  std::vector<std::vector<std::byte>> seen_;
};

// Runs `operation` in a child one instruction at a time and, wherever the store's memory has
// changed, takes a copy of it over: slot 0 must hold the old page or the new one, all others
// theirs.
void die_at_each_instruction(const TestPage& old_page, const TestPage& new_page,
                             void (*operation)(Store&, Store::Session&, const TestPage&)) {
  StoreOptions options = small_store(16);
  options.reserve_bytes = 1;
  options.codec = "lz4:fast";
  const Memory kept = make_shared_memory(options);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto store = begin_store(options, kept);
    if (!store) _exit(3);
    const auto session = make_session(*store);
    if (session->write(0, old_page.data()) != StoreStatus::kOk) _exit(3);
    for (std::uint64_t slot = 1; slot < 12; ++slot) {
      if (session->write(slot, any_page(slot).data()) != StoreStatus::kOk) _exit(3);
    }
    store->settle(20'000);
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    operation(*store, *session, new_page);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  Snapshot snapshot(options, kept);
  unsigned states = 0;
  bool has_been_old = false;
  bool has_been_new = false;
  while (WIFSTOPPED(status)) {
    if (snapshot.take()) {
      ++states;
      const auto store = begin_store(options, snapshot.memory());
      ASSERT_NE(store, nullptr);
      const auto session = make_session(*store);
      const TestPage now = read_page(*session, 0);
      ASSERT_TRUE(now == old_page || now == new_page) << "in state " << states;
      has_been_old |= now == old_page;
      has_been_new |= now == new_page;
      for (std::uint64_t slot = 1; slot < 12; ++slot) {
        ASSERT_EQ(read_page(*session, slot), any_page(slot)) << "in state " << states;
      }
      expect_nothing_leaked(*store, *session);
    }
    ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr), 0);
    ASSERT_EQ(waitpid(child, &status, 0), child);
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(has_been_old);
  EXPECT_TRUE(has_been_new);
  EXPECT_GE(states, 3u);
}

void overwrite(Store&, Store::Session& session, const TestPage& page) {
  (void)session.write(0, page.data());
}

TEST(Adoption, AtEachInstructionOfAWrite) {
  const TestPage small = mixed_page(1, 200);
  die_at_each_instruction(small, mixed_page(2, 1500), overwrite);
  die_at_each_instruction(random_page(3), small, overwrite);
  die_at_each_instruction(small, random_page(4), overwrite);
  die_at_each_instruction(small, same_filled_page(0x123456789abcdef0), overwrite);
}

TEST(Adoption, AtEachInstructionOfADiscard) {
  const auto discard = [](Store&, Store::Session& session, const TestPage&) {
    session.discard(0, 1);
  };
  die_at_each_instruction(mixed_page(1, 200), TestPage{}, discard);
  die_at_each_instruction(random_page(3), TestPage{}, discard);
}

TEST(Adoption, AtEachInstructionOfAPartialWrite) {
  TestPage page = mixed_page(1, 200);
  TestPage changed = page;
  std::memcpy(changed.data() + 512, random_page(9).data() + 512, 512);
  die_at_each_instruction(page, changed,
                          [](Store&, Store::Session& session, const TestPage& bytes) {
                            (void)session.write_part(0, 512, bytes.data() + 512, 512);
                          });
}

TEST(Adoption, AtEachInstructionOfACompaction) {
  auto codec = std::move(*codec::PageCodec::open("lz4:fast", *test_kernels()));
  const auto class_of = [&codec](const TestPage& page) {
    TestPage out;
    return size_class_of(
        object_bytes(codec.compress(page.data(), out.data(), kCompressedBytesMax)));
  };
  // The page has a span to itself, and that of three others, two classes higher, has room for it.
  std::size_t random_bytes = 0;
  while (class_of(mixed_page(1, random_bytes)) + 2 < class_of(any_page(3))) ++random_bytes;
  const TestPage page = mixed_page(1, random_bytes);
  die_at_each_instruction(page, page, [](Store& store, Store::Session&, const TestPage&) {
    Store::State& state = StoreInspector::state(store);
    const SlotWord before = StoreInspector::word(store, 0);
    Counters::Count freed{0};
    Compactor compactor(state.slots, state.pool, state.compact_bell, freed);
    if (compactor.drain(size_class_of(object_bytes(before.length())), 3) == 0) _exit(4);
    if (StoreInspector::word(store, 0) == before) _exit(4);
  });
}
#endif

}  // namespace
}  // namespace pleat::store
