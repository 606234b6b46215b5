// SPDX-License-Identifier: MIT OR Apache-2.0
// A process that dies at any instruction of an operation leaves memory that another takes over:
// each page is the old one or the new one, none is lost, and what is counted is what is there.
//
// No list of the places at which to die has to be kept: a child goes through the operation one
// instruction at a time, and wherever the store's memory has changed a copy of it is taken over.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <map>
#include <vector>

#include "codec/group_codec.h"
#include "store/adoption.h"
#include "store/back_writer.h"
#include "store/backing_file.h"
#include "store/group.h"
#include "store/kin_page.h"
#include "store/recompressor.h"
#include "store/wordy_page.h"

namespace pleat::store {
namespace {

constexpr std::uint64_t kStored = 12;  // slots that hold a page, the first that are operated on

// The memory of one store beside a copy of another's.
class Snapshot {
 public:
  explicit Snapshot(const StoreOptions& options, const Memory& original)
      : original_(original), copy_(make_shared_memory(options)) {}

  // Whether anything has changed since the last call. Memory comes and goes by system calls alone;
  // to ask for it takes ten times as long as an instruction.
  bool take(bool after_system_call) {
    bool changed = false;
    if (after_system_call) {
      std::vector<bool> present(original_.bytes() / kPageSize);
      EXPECT_TRUE(original_.find_present(0, present));
      changed = present != present_;
      present_ = present;
    }
    for (std::size_t page = 0; page < present_.size(); ++page) {
      if (!present_[page]) continue;
      const std::byte* const from = original_.base() + page * kPageSize;
      std::byte* const to = seen(page);
      if (std::memcmp(from, to, kPageSize) == 0) continue;
      std::memcpy(to, from, kPageSize);
      changed = true;
    }
    if (!changed) return false;
    for (std::size_t page = 0; page < present_.size(); ++page) {
      if (present_[page]) {
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
  std::vector<bool> present_;
  std::vector<std::vector<std::byte>> seen_;
};

// A child that is stopped at an instruction.
class TracedChild {
 public:
  explicit TracedChild(const std::function<void()>& life) : pid_(fork()) {
    if (pid_ != 0) return;
    life();
    _exit(0);
  }
  ~TracedChild() {
    if (pid_ > 0 && !ended_) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status_, 0);
    }
  }
  TracedChild(const TracedChild&) = delete;
  TracedChild& operator=(const TracedChild&) = delete;

  // Whether it has not ended.
  bool wait() {
    EXPECT_EQ(waitpid(pid_, &status_, 0), pid_);
    ended_ = !WIFSTOPPED(status_);
    return !ended_;
  }
  bool step() {
    was_system_call_ = is_at_system_call();
    return ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) == 0 && wait();
  }
  // Whether the last step may have been one.
  bool was_system_call() const { return was_system_call_; }
  bool succeeded() const { return WIFEXITED(status_) && WEXITSTATUS(status_) == 0; }

 private:
  bool is_at_system_call() const {
#if defined(__x86_64__)
    const long at = ptrace(PTRACE_PEEKUSER, pid_, offsetof(user_regs_struct, rip), nullptr);
    return (ptrace(PTRACE_PEEKTEXT, pid_, at, nullptr) & 0xFFFF) == 0x050F;  // syscall
#else
    return true;
#endif
  }

  pid_t pid_;
  int status_ = 0;
  bool ended_ = false;
  bool was_system_call_ = true;
};

// What a child calls when it has come to the operation.
void stop_here() {
  ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  raise(SIGSTOP);
}

// What the store counts, worked out from slot words and page map alone.
void expect_sound_counts(Store& store) {
  const Pool& pool = StoreInspector::pool(store);
  StoreStats found;
  std::map<std::uint64_t, unsigned> runs;  // of pool pages
  for (std::uint64_t slot = 0; slot < store.slots(); ++slot) {
    const SlotWord word = StoreInspector::word(store, slot);
    if (word.empty()) continue;
    found.orig_data_size += kPageSize;
    if (word.same_filled()) ++found.same_pages;
    if (word.kind() == SlotWord::Kind::kRaw) {
      ++found.huge_pages;
      found.compr_data_size += kPageSize;
      runs[word.pool_page()] = 1;
    } else if (word.in_pool()) {
      if (!word.same_filled()) found.compr_data_size += word.length();
      if (word.grouped()) ++found.pages_grouped;
      const std::uint64_t page = word.location() / kGranulesPerPage;
      const PageMapEntry entry = pool.map_entry(page);
      runs[page - entry.distance()] = kSizeClasses.classes[entry.size_class()].pages;
    }
  }
  for (const auto& [first, count] : runs) found.mem_used_total += count * kPageSize;
  const StoreStats counted = store.stats();
  EXPECT_EQ(counted.orig_data_size, found.orig_data_size);
  EXPECT_EQ(counted.compr_data_size, found.compr_data_size);
  EXPECT_EQ(counted.same_pages, found.same_pages);
  EXPECT_EQ(counted.huge_pages, found.huge_pages);
  EXPECT_EQ(counted.pages_grouped, found.pages_grouped);
  EXPECT_EQ(counted.mem_used_total, found.mem_used_total);
}

enum class Side : std::uint8_t { kOld, kNew, kWrong };

StoreOptions stepping_store() {
  StoreOptions options = small_store(16);
  options.reserve_bytes = 1;
  options.codec = "lz4:fast";
  return options;
}

// Has a child do `life` on the store's memory, one instruction at a time from its stop_here() on,
// and takes the memory over in each of its states. `side_of` says what a successor finds: the state
// before the operation, or that after it, but for what it does not change.
void die_at_each_instruction(const StoreOptions& options,
                             const std::function<void(const Memory& kept)>& life,
                             const std::function<Side(Store&, Store::Session&)>& side_of) {
  const Memory kept = make_shared_memory(options);
  TracedChild child([&] { life(kept); });
  ASSERT_TRUE(child.wait()) << "the child has not come to the operation";
  Snapshot snapshot(options, kept);
  unsigned states = 0;
  Side last = Side::kOld;
  do {
    if (!snapshot.take(child.was_system_call())) continue;
    ++states;
    const auto store = begin_store(options, snapshot.memory());
    ASSERT_NE(store, nullptr) << "in state " << states;
    const auto session = make_session(*store);
    const Side side = side_of(*store, *session);
    ASSERT_NE(side, Side::kWrong) << "in state " << states;
    ASSERT_FALSE(side == Side::kOld && last == Side::kNew) << "old again in state " << states;
    last = side;
    ASSERT_TRUE(store->settle(20'000));
    expect_sound_counts(*store);
    expect_nothing_leaked(*store, *session);
    const StoreStats stats = store->stats();
    // What was got from the system and not yet written down is found when it is asked for again.
    ASSERT_LE(StoreInspector::memory_bytes(*store), stats.reserve_bytes + stats.slot_table_bytes +
                                                        stats.metadata_bytes +
                                                        (1 + kRegionPages) * kPageSize);
    ASSERT_FALSE(testing::Test::HasFailure()) << "in state " << states;
  } while (child.step());
  EXPECT_TRUE(child.succeeded());
  EXPECT_EQ(last, Side::kNew);
  EXPECT_GE(states, 2u);
}

// Slots 1 to kStored - 1 are as they were.
bool has_the_others(Store::Session& session, std::uint64_t first = 1) {
  for (std::uint64_t slot = first; slot < kStored; ++slot) {
    if (read_page(session, slot) != any_page(slot)) return false;
  }
  return true;
}

bool stored(Store::Session& session, std::uint64_t slot, const TestPage& page) {
  return session.write(slot, page.data()) == StoreStatus::kOk && read_page(session, slot) == page;
}

// For the child.
void put(Store::Session& session, std::uint64_t slot, const TestPage& page) {
  if (session.write(slot, page.data()) != StoreStatus::kOk) _exit(3);
}

// The store with its pages, at rest: in single steps an operation takes long enough for a minute to
// pass, of which no page is to become older.
std::unique_ptr<Store> full_store(const StoreOptions& options, const Memory& kept,
                                  const TestPage& first_page) {
  auto store = begin_store(options, kept);
  if (!store) _exit(3);
  StoreInspector::state(*store).ager.end();
  const auto session = make_session(*store);
  put(*session, 0, first_page);
  for (std::uint64_t slot = 1; slot < kStored; ++slot) put(*session, slot, any_page(slot));
  if (!store->settle(20'000)) _exit(3);
  return store;
}

// An operation that turns slot 0's page into another and leaves all others alone.
struct Change {
  TestPage old_page;
  TestPage new_page;
  void (*operation)(Store&, Store::Session&, const TestPage& new_page);
};
const Change* change = nullptr;  // of the test that runs

void expect_old_or_new(const TestPage& old_page, const TestPage& new_page,
                       void (*operation)(Store&, Store::Session&, const TestPage&)) {
  const Change this_change{old_page, new_page, operation};
  change = &this_change;
  die_at_each_instruction(
      stepping_store(),
      [](const Memory& kept) {
        const auto store = full_store(stepping_store(), kept, change->old_page);
        const auto session = make_session(*store);
        stop_here();
        change->operation(*store, *session, change->new_page);
        _exit(0);
      },
      [](Store&, Store::Session& session) {
        if (!has_the_others(session)) return Side::kWrong;
        const TestPage now = read_page(session, 0);
        if (now == change->new_page) return Side::kNew;
        return now == change->old_page ? Side::kOld : Side::kWrong;
      });
}

void overwrite(Store&, Store::Session& session, const TestPage& page) { put(session, 0, page); }

TEST(AtEachInstruction, OfAWrite) {
  const TestPage small = mixed_page(1, 200);
  expect_old_or_new(small, mixed_page(2, 1500), overwrite);
  expect_old_or_new(random_page(3), small, overwrite);
  expect_old_or_new(small, random_page(4), overwrite);
  expect_old_or_new(small, same_filled_page(0x123456789abcdef0), overwrite);
  expect_old_or_new(TestPage{}, small, overwrite);
}

TEST(AtEachInstruction, OfARead) {
  const auto read = [](Store&, Store::Session& session, const TestPage&) {
    alignas(64) static TestPage page;
    if (session.read(0, page.data()) != StoreStatus::kOk) _exit(4);
  };
  expect_old_or_new(mixed_page(1, 200), mixed_page(1, 200), read);
}

TEST(AtEachInstruction, OfADiscard) {
  const auto discard = [](Store&, Store::Session& session, const TestPage&) {
    session.discard(0, 1);
  };
  expect_old_or_new(mixed_page(1, 200), TestPage{}, discard);
  expect_old_or_new(random_page(3), TestPage{}, discard);
}

TEST(AtEachInstruction, OfADiscardOfSeveralPages) {
  constexpr std::uint64_t kDiscarded = 6;
  die_at_each_instruction(
      stepping_store(),
      [](const Memory& kept) {
        const auto store = full_store(stepping_store(), kept, any_page(0));
        const auto session = make_session(*store);
        stop_here();
        session->discard(0, kDiscarded);
        _exit(0);
      },
      [](Store&, Store::Session& session) {
        std::uint64_t left = 0;
        for (std::uint64_t slot = 0; slot < kDiscarded; ++slot) {
          const TestPage page = read_page(session, slot);
          if (page == any_page(slot)) ++left;
          if (page != any_page(slot) && page != TestPage{}) return Side::kWrong;
        }
        if (!has_the_others(session, kDiscarded)) return Side::kWrong;
        return left == 0 ? Side::kNew : Side::kOld;
      });
}

TEST(AtEachInstruction, OfAPartialWrite) {
  const TestPage page = mixed_page(1, 200);
  TestPage changed = page;
  std::memcpy(changed.data() + 512, random_page(9).data() + 512, 512);
  expect_old_or_new(page, changed, [](Store&, Store::Session& session, const TestPage& bytes) {
    (void)session.write_part(0, 512, bytes.data() + 512, 512);
  });
}

// The class that serves objects of so many bytes where there are few.
unsigned serving_class_of(std::size_t bytes) {
  return kServingClasses.instead_of[kLevels - 1][size_class_of(bytes)];
}

// Empties the span of the slot's object into the one that is in another slot's class.
unsigned drain_towards(Store& store, Compactor& compactor, std::uint64_t slot,
                       std::uint64_t target) {
  const unsigned size_class = StoreInspector::size_class(store, slot);
  const unsigned larger = StoreInspector::size_class(store, target);
  return larger > size_class ? compactor.drain(size_class, larger - size_class) : 0;
}

TEST(AtEachInstruction, OfACompaction) {
  auto codec = std::move(*codec::PageCodec::open("lz4:fast", *test_kernels()));
  const auto class_of = [&codec](const TestPage& page) {
    TestPage out;
    return serving_class_of(
        object_bytes(codec.compress(page.data(), out.data(), kCompressedBytesMax)));
  };
  // The page has a span to itself, and that of three others, the next larger, has room for it.
  std::size_t random_bytes = 0;
  while (serving_class_of(kSizeClasses.classes[class_of(mixed_page(1, random_bytes))].bytes +
                          kGranule) < class_of(any_page(3))) {
    ++random_bytes;
  }
  const TestPage page = mixed_page(1, random_bytes);
  expect_old_or_new(page, page, [](Store& store, Store::Session&, const TestPage&) {
    Store::State& state = StoreInspector::state(store);
    const SlotWord before = StoreInspector::word(store, 0);
    Counters::Count freed{0};
    Compactor compactor(state.slots, state.pool, state.compact_bell, freed);
    if (drain_towards(store, compactor, 0, 3) == 0) _exit(4);
    if (StoreInspector::word(store, 0) == before) _exit(4);
  });
}

StoreOptions recompressing_store_in_steps() {
  StoreOptions options = stepping_store();
  options.recompress = "lz4";
  return options;
}

TEST(AtEachInstruction, OfARecompression) {
  // Old and new differ in nothing but the stored form, so the word tells them apart.
  die_at_each_instruction(
      recompressing_store_in_steps(),
      [](const Memory& kept) {
        const auto store =
            full_store(recompressing_store_in_steps(), kept, wordy_page(1, kPageSize));
        stop_here();
        const RecompressResult result =
            StoreInspector::state(*store).recompressor->work({.pages_max = 1});
        _exit(result.pages_recompressed == 1 ? 0 : 4);
      },
      [](Store& store, Store::Session& session) {
        const bool is_settled = StoreInspector::word(store, 0).settled();
        if (!has_the_others(session)) return Side::kWrong;
        if (read_page(session, 0) != wordy_page(1, kPageSize)) return Side::kWrong;
        return is_settled ? Side::kNew : Side::kOld;
      });
}

// Slots 0 to 3 are a group, or can be one, and 4 to 7 another that is a little larger.
StoreOptions grouping_store_in_steps() {
  StoreOptions options = stepping_store();
  options.recompress = "lz4,block=16384";
  return options;
}

TestPage member_page(std::uint64_t slot, std::size_t bytes) {
  return sparse_kin_page(slot / kGroupPages, slot, bytes);
}

unsigned class_of_group(std::uint64_t first, std::size_t bytes) {
  auto codec = std::move(*codec::GroupCodec::open("lz4", *test_kernels()));
  std::array<std::byte, kGroupBytes> group;
  std::array<std::byte, kGroupDataBytesMax> block;
  for (std::size_t i = 0; i < kGroupPages; ++i) {
    const TestPage page = member_page(first + i, bytes);
    std::memcpy(group.data() + i * kPageSize, page.data(), kPageSize);
  }
  return serving_class_of(
      group_object_bytes(codec.encode(group.data(), block.data(), block.size()).size));
}

TestPage member_page(std::uint64_t slot) {
  constexpr std::size_t kBytes = 100;
  static const std::size_t more_bytes = [] {
    std::size_t bytes = kBytes;
    while (class_of_group(kGroupPages, bytes) <= class_of_group(0, kBytes)) ++bytes;
    return bytes;
  }();
  return member_page(slot, slot < kGroupPages ? kBytes : more_bytes);
}

std::unique_ptr<Store> store_to_group(const Memory& kept) {
  auto store = full_store(grouping_store_in_steps(), kept, any_page(0));
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 2 * kGroupPages; ++slot)
    put(*session, slot, member_page(slot));
  if (!store->settle(20'000)) _exit(3);
  return store;
}

std::unique_ptr<Store> store_with_groups(const Memory& kept) {
  auto store = store_to_group(kept);
  (void)StoreInspector::state(*store).recompressor->work({.pages_max = 2 * kGroupPages});
  if (store->stats().pages_grouped != 2 * kGroupPages || !store->settle(20'000)) _exit(3);
  return store;
}

// All but `changed`, which may be none.
bool has_members_and_others(Store::Session& session, std::uint64_t changed = kStored) {
  for (std::uint64_t slot = 0; slot < 2 * kGroupPages; ++slot) {
    if (slot != changed && read_page(session, slot) != member_page(slot)) return false;
  }
  return has_the_others(session, 2 * kGroupPages);
}

TEST(AtEachInstruction, OfMakingAGroup) {
  die_at_each_instruction(
      grouping_store_in_steps(),
      [](const Memory& kept) {
        const auto store = store_to_group(kept);
        stop_here();
        const RecompressResult result =
            StoreInspector::state(*store).recompressor->work({.pages_max = kGroupPages});
        _exit(result.pages_recompressed == kGroupPages &&
                      store->stats().pages_grouped == kGroupPages
                  ? 0
                  : 4);
      },
      [](Store& store, Store::Session& session) {
        // The last of the words that are replaced.
        const bool is_new = StoreInspector::word(store, kGroupPages - 1).grouped();
        if (!has_members_and_others(session)) return Side::kWrong;
        return is_new ? Side::kNew : Side::kOld;
      });
}

void expect_old_or_new_member(void (*operation)(Store::Session&), const TestPage& new_page) {
  static void (*replace)(Store::Session&);
  replace = operation;
  die_at_each_instruction(
      grouping_store_in_steps(),
      [](const Memory& kept) {
        const auto store = store_with_groups(kept);
        const auto session = make_session(*store);
        // The last that are left, so that the object is freed.
        session->discard(0, 2);
        session->discard(3, 1);
        stop_here();
        replace(*session);
        _exit(0);
      },
      [&new_page](Store&, Store::Session& session) {
        for (std::uint64_t slot = kGroupPages; slot < 2 * kGroupPages; ++slot) {
          if (read_page(session, slot) != member_page(slot)) return Side::kWrong;
        }
        if (!has_the_others(session, 2 * kGroupPages)) return Side::kWrong;
        const TestPage now = read_page(session, 2);
        if (now == new_page) return Side::kNew;
        return now == member_page(2) ? Side::kOld : Side::kWrong;
      });
}

TEST(AtEachInstruction, OfReplacingTheLastMemberOfAGroup) {
  expect_old_or_new_member([](Store::Session& session) { put(session, 2, mixed_page(5, 200)); },
                           mixed_page(5, 200));
  expect_old_or_new_member([](Store::Session& session) { session.discard(2, 1); }, TestPage{});
}

TEST(AtEachInstruction, OfReplacingAMemberOfAGroup) {
  die_at_each_instruction(
      grouping_store_in_steps(),
      [](const Memory& kept) {
        const auto store = store_with_groups(kept);
        const auto session = make_session(*store);
        stop_here();
        put(*session, 1, mixed_page(5, 200));
        _exit(0);
      },
      [](Store&, Store::Session& session) {
        if (!has_members_and_others(session, 1)) return Side::kWrong;
        const TestPage now = read_page(session, 1);
        if (now == mixed_page(5, 200)) return Side::kNew;
        return now == member_page(1) ? Side::kOld : Side::kWrong;
      });
}

TEST(AtEachInstruction, OfMovingAGroup) {
  static SlotWord before;
  die_at_each_instruction(
      grouping_store_in_steps(),
      [](const Memory& kept) {
        const auto store = store_with_groups(kept);
        Store::State& state = StoreInspector::state(*store);
        Counters::Count freed{0};
        Compactor compactor(state.slots, state.pool, state.compact_bell, freed);
        const SlotWord word = StoreInspector::word(*store, 0);
        stop_here();
        if (drain_towards(*store, compactor, 0, kGroupPages) == 0) _exit(4);
        _exit(StoreInspector::word(*store, 3).location() != word.location() ? 0 : 4);
      },
      [](Store& store, Store::Session& session) {
        // The first state of the memory is that before the move.
        const SlotWord last = StoreInspector::word(store, kGroupPages - 1);
        if (before.empty()) before = last;
        if (!has_members_and_others(session)) return Side::kWrong;
        return last.location() == before.location() ? Side::kOld : Side::kNew;
      });
}

TEST(AtEachInstruction, OfAWriteback) {
  constexpr std::uint64_t kBlocks = 16;
  const BackingFile file(kBlocks);
  StoreOptions options = stepping_store();
  options.backing = file.path();
  options.backing_bytes = kBlocks * kPageSize;
  die_at_each_instruction(
      options,
      [&options](const Memory& kept) {
        const auto store = full_store(options, kept, any_page(1));
        stop_here();
        const WritebackResult result =
            StoreInspector::state(*store).back_writer->work({.pages_max = 1});
        _exit(result.pages_written == 1 ? 0 : 4);
      },
      [](Store& store, Store::Session& session) {
        const bool is_new = StoreInspector::word(store, 0).written_back();
        if (!has_the_others(session) || read_page(session, 0) != any_page(1)) return Side::kWrong;
        if (store.stats().pages_written_back != (is_new ? 1 : 0)) return Side::kWrong;
        if ((store.stats().backing_used != 0) != is_new) return Side::kWrong;
        return is_new ? Side::kNew : Side::kOld;
      });
}

constexpr std::uint64_t kManySlots = 2000;  // of several pages of slot table

StoreOptions resized_store() {
  StoreOptions options = stepping_store();
  options.device_bytes_max = kManySlots * kPageSize;
  return options;
}

Side side_of_size(Store& store, Store::Session& session, std::uint64_t new_slots) {
  if (!has_the_others(session, 0)) return Side::kWrong;
  const std::uint64_t slots = store.slots();
  if (slots != 16 && slots != kManySlots) return Side::kWrong;
  for (std::uint64_t slot = kStored; slot < slots; ++slot) {
    if (!StoreInspector::word(store, slot).empty()) return Side::kWrong;
  }
  if (!stored(session, slots - 1, random_page(1))) return Side::kWrong;
  return slots == new_slots ? Side::kNew : Side::kOld;
}

TEST(AtEachInstruction, OfGrowing) {
  die_at_each_instruction(
      resized_store(),
      [](const Memory& kept) {
        const auto store = full_store(resized_store(), kept, any_page(0));
        stop_here();
        _exit(store->resize(kManySlots * kPageSize) ? 0 : 4);
      },
      [](Store& store, Store::Session& session) {
        return side_of_size(store, session, kManySlots);
      });
}

TEST(AtEachInstruction, OfShrinking) {
  die_at_each_instruction(
      resized_store(),
      [](const Memory& kept) {
        const auto store = full_store(resized_store(), kept, any_page(0));
        if (!store->resize(kManySlots * kPageSize)) _exit(3);
        {
          const auto session = make_session(*store);
          put(*session, kManySlots - 1, any_page(1));
          session->discard(kManySlots - 1, 1);
        }
        stop_here();
        _exit(store->resize(16 * kPageSize) ? 0 : 4);
      },
      [](Store& store, Store::Session& session) { return side_of_size(store, session, 16); });
}

// The two steps of the reserve's thread, which sleeps meanwhile.
TEST(AtEachInstruction, OfTheReserveGrowing) {
  die_at_each_instruction(
      stepping_store(),
      [](const Memory& kept) {
        const auto store = full_store(stepping_store(), kept, any_page(0));
        Store::State& state = StoreInspector::state(*store);
        std::uint64_t page = 0;
        // Below the target, and not so far that the thread is woken.
        if (state.pages.allocate(1, false, &page) != AllocateStatus::kOk) _exit(3);
        Reserve reserve(state.memory, state.layout, state.pages, state.pool, state.bell);
        if (!reserve.find_metadata() || !state.pages.wants_growth()) _exit(3);
        stop_here();
        _exit(reserve.fill_first() && !state.pages.wants_growth() ? 0 : 4);
      },
      // A successor fills its reserve itself, at once.
      [](Store&, Store::Session& session) {
        return has_the_others(session, 0) ? Side::kNew : Side::kWrong;
      });
}

TEST(AtEachInstruction, OfTheReserveGivingBack) {
  die_at_each_instruction(
      stepping_store(),
      [](const Memory& kept) {
        const auto store = full_store(stepping_store(), kept, any_page(0));
        Store::State& state = StoreInspector::state(*store);
        // More than the target, and not so much more that the thread is woken.
        const auto region = state.pages.region_to_grow();
        if (!region) _exit(3);
        const PageRun run = state.pages.absent_run(*region);
        if (run.count < 8) _exit(3);
        const PageRun surplus{run.first, 8};
        if (state.memory.populate(state.layout.pool_offset + surplus.first * kPageSize,
                                  surplus.count * kPageSize) != 0) {
          _exit(3);
        }
        state.pages.add_ready(surplus);
        stop_here();
        const auto claimed = state.pages.claim_surplus();
        if (!claimed) _exit(4);
        _exit(state.memory.give_back(state.layout.pool_offset + claimed->first * kPageSize,
                                     claimed->count * kPageSize));
      },
      [](Store&, Store::Session& session) {
        return has_the_others(session, 0) ? Side::kNew : Side::kWrong;
      });
}

TEST(AtEachInstruction, OfTheFirstBeginning) {
  die_at_each_instruction(
      stepping_store(),
      [](const Memory& kept) {
        auto store = Store::stand_by(stepping_store(), *Memory::attach(kept.id()));
        if (!store) _exit(3);
        stop_here();
        _exit((*store)->begin() ? 0 : 4);
      },
      [](Store& store, Store::Session& session) {
        for (std::uint64_t slot = 0; slot < store.slots(); ++slot) {
          if (read_page(session, slot) != TestPage{}) return Side::kWrong;
          if (!stored(session, slot, any_page(slot))) return Side::kWrong;
        }
        return has_the_others(session, 0) ? Side::kNew : Side::kWrong;
      });
}

TEST(AtEachInstruction, OfATakeOver) {
  die_at_each_instruction(
      stepping_store(),
      [](const Memory& kept) {
        {
          const auto store = full_store(stepping_store(), kept, any_page(0));
          // As a reader has left it.
          StoreInspector::set_word(*store, 3, StoreInspector::word(*store, 3).with_lock());
        }
        auto store = Store::stand_by(stepping_store(), *Memory::attach(kept.id()));
        if (!store) _exit(3);
        stop_here();
        _exit((*store)->begin() ? 0 : 4);
      },
      [](Store&, Store::Session& session) {
        return has_the_others(session, 0) ? Side::kNew : Side::kWrong;
      });
}

}  // namespace
}  // namespace pleat::store
