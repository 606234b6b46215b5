// SPDX-License-Identifier: MIT OR Apache-2.0
// Reads and writes of one slot by several threads must look like some order of them in which each
// lies between its call and its return.
//
// Every written page is different, so the question has an exact answer (Gibbons and Korach, Testing
// Shared Memories, SIAM J. Comput. 26, 1997, section 4): take the operations on one value together,
// a zone. It stretches from the earliest return to the latest call; "forward" where the return is
// first, else "backward". The history is linearisable if no read returns before its value's write
// is called, no two forward zones overlap and no backward zone lies within a forward one.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "repetitions.h"
#include "store/compacting_thread.h"
#include "store/stamped_page.h"

namespace pleat::store {
namespace {

struct Operation {
  Stamp value;
  bool is_write;
  std::uint64_t call;
  std::uint64_t ret;
};

struct Zone {
  std::uint64_t first_return = UINT64_MAX;
  std::uint64_t last_call = 0;
  std::uint64_t write_call = UINT64_MAX;
  bool forward() const { return first_return < last_call; }
};

// Empty if the history is linearisable, else why not.
std::string objection(const std::vector<Operation>& history) {
  std::map<Stamp, Zone> zones;
  // Before everything the slot was empty.
  zones[0] = {0, 0, 0};
  for (const Operation& operation : history) {
    Zone& zone = zones[operation.value];
    zone.first_return = std::min(zone.first_return, operation.ret);
    zone.last_call = std::max(zone.last_call, operation.call);
    if (operation.is_write) zone.write_call = operation.call;
  }
  std::vector<Zone> forward;
  for (const auto& [value, zone] : zones) {
    if (zone.write_call == UINT64_MAX) return "a value was read that nobody wrote";
    if (zone.forward()) forward.push_back(zone);
  }
  for (const Operation& operation : history) {
    if (!operation.is_write && operation.ret < zones[operation.value].write_call) {
      return "a value was read before its write";
    }
  }
  std::sort(forward.begin(), forward.end(),
            [](const Zone& a, const Zone& b) { return a.first_return < b.first_return; });
  for (std::size_t i = 1; i < forward.size(); ++i) {
    if (forward[i].first_return < forward[i - 1].last_call) return "two values hold at once";
  }
  for (const auto& [value, zone] : zones) {
    if (zone.forward()) continue;
    for (const Zone& outer : forward) {
      if (outer.first_return < zone.last_call && zone.first_return < outer.last_call) {
        return "a value was written and read while another held throughout";
      }
    }
  }
  return "";
}

TEST(Linearisability, TheCheckerTellsGoodFromBad) {
  EXPECT_EQ(objection({{1, true, 1, 2}, {1, false, 3, 4}, {2, true, 5, 8}, {1, false, 6, 9}}), "");
  EXPECT_NE(objection({{1, true, 1, 2}, {0, false, 3, 4}}), "");                   // stale
  EXPECT_NE(objection({{1, true, 1, 2}, {2, true, 3, 4}, {1, false, 5, 6}}), "");  // undone
  EXPECT_NE(objection({{1, false, 1, 2}, {1, true, 3, 4}}), "");                   // foreseen
  EXPECT_NE(objection({{1, true, 1, 2}, {7, false, 3, 4}}), "");                   // invented
  EXPECT_NE(
      objection(
          {{1, true, 1, 9}, {2, true, 2, 8}, {1, false, 2, 3}, {2, false, 4, 5}, {1, false, 6, 7}}),
      "");  // back and forth
}

class SharedSlot : public testing::TestWithParam<unsigned> {};

TEST_P(SharedSlot, OneSlotBehavesLikeOnePage) {
  const unsigned thread_count = GetParam();
  constexpr std::uint64_t kSteps = test::repetitions(4000);
  StoreOptions options = small_store(64);
  options.reserve_bytes = 1 << 20;
  const auto store = make_store(options);
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::atomic<std::uint64_t> clock{1};
  std::atomic<std::uint64_t> torn{0};
  std::vector<std::vector<Operation>> histories(thread_count);
  const auto work = [&](unsigned writer) {
    const auto session = make_session(*store);
    std::mt19937_64 random(seed + writer);
    std::vector<Operation>& history = histories[writer];
    history.reserve(kSteps);
    for (std::uint64_t step = 1; step <= kSteps; ++step) {
      Operation operation{0, random() % 3 == 0, 0, 0};
      TestPage page;
      if (operation.is_write) {
        operation.value = make_stamp(writer, step, static_cast<Shape>(1 + random() % 4));
        page = stamped_page(operation.value);
        operation.call = clock.fetch_add(1);
        if (session->write(9, page.data()) != StoreStatus::kOk) continue;
        operation.ret = clock.fetch_add(1);
      } else {
        operation.call = clock.fetch_add(1);
        if (session->read(9, page.data()) != StoreStatus::kOk) ++torn;
        operation.ret = clock.fetch_add(1);
        operation.value = stamp_of(page.data());
        if (page != (operation.value == 0 ? TestPage{} : stamped_page(operation.value))) ++torn;
      }
      history.push_back(operation);
    }
  };
  CompactingThread compacting(*store, {10, 64}, seed);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < thread_count; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  compacting.stop();
  std::vector<Operation> history;
  for (const auto& part : histories) history.insert(history.end(), part.begin(), part.end());
  EXPECT_EQ(torn.load(), 0u);
  EXPECT_GT(history.size(), kSteps);
  EXPECT_EQ(objection(history), "");
}

INSTANTIATE_TEST_SUITE_P(Threads, SharedSlot, testing::Values(2u, 4u));

}  // namespace
}  // namespace pleat::store
