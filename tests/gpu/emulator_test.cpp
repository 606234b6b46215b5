// SPDX-License-Identifier: MIT OR Apache-2.0
// The emulator does what a warp does, and finds each rule of simt.h that a kernel breaks.
#include "gpu/simt/emulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <set>
#include <vector>

namespace pleat::gpu {
namespace {

using ::testing::HasSubstr;

using Lanes = std::array<std::uint32_t, kWarpLanes>;

// What each lane makes of its number.
Lanes lanes_of(Emulator& emulator, const std::function<std::uint32_t(Warp&)>& kernel) {
  Lanes results = {};
  EXPECT_EQ(emulator.run([&](Warp& warp) { results[warp.lane()] = kernel(warp); }), "");
  return results;
}

TEST(Emulator, CollectivesDoWhatAWarpDoes) {
  Emulator emulator(64);
  for (const auto order :
       {Emulator::Order::kForward, Emulator::Order::kReverse, Emulator::Order::kRandom}) {
    emulator.set_order(order);
    const auto value = [](unsigned lane) { return lane * lane * 2654435761u; };
    const auto expect = [&](const char* what, const std::function<std::uint32_t(Warp&)>& kernel,
                            const std::function<std::uint32_t(unsigned)>& expected) {
      const Lanes lanes = lanes_of(emulator, kernel);
      for (unsigned i = 0; i < kWarpLanes; ++i) EXPECT_EQ(lanes[i], expected(i)) << what << i;
    };
    expect(
        "ballot ", [&](Warp& w) { return w.ballot(w.lane() % 3 == 0); },
        [](unsigned) { return 0x49249249u; });
    expect(
        "any ", [&](Warp& w) { return w.any(w.lane() == 31); }, [](unsigned) { return 1u; });
    expect(
        "all ", [&](Warp& w) { return w.all(w.lane() < 31); }, [](unsigned) { return 0u; });
    expect(
        "shuffle ", [&](Warp& w) { return w.shuffle(value(w.lane()), w.lane() + 5); },
        [&](unsigned i) { return value((i + 5) % 32); });
    expect(
        "shuffle_up ", [&](Warp& w) { return w.shuffle_up(value(w.lane()), 4); },
        [&](unsigned i) { return value(i < 4 ? i : i - 4); });
    expect(
        "add_from_below ", [&](Warp& w) { return w.add_from_below(value(w.lane()), 4); },
        [&](unsigned i) { return value(i) + (i < 4 ? 0 : value(i - 4)); });
    expect(
        "shuffle_xor ", [&](Warp& w) { return w.shuffle_xor(value(w.lane()), 6); },
        [&](unsigned i) { return value(i ^ 6); });
    expect(
        "match_any ", [&](Warp& w) { return w.match_any(w.lane() % 8); },
        [](unsigned i) { return 0x01010101u << i % 8; });
    expect(
        "reduce_add ", [&](Warp& w) { return w.reduce_add(w.lane()); },
        [](unsigned) { return 496u; });
    expect(
        "reduce_or ", [&](Warp& w) { return w.reduce_or(1u << w.lane() / 2); },
        [](unsigned) { return 0xFFFFu; });
    expect(
        "scan_below ",
        [&](Warp& w) {
          std::uint32_t total;
          const std::uint32_t sum = scan_below(w, w.lane() + 1, &total);
          return sum << 16 | total;
        },
        [](unsigned i) { return (i * (i + 1) / 2) << 16 | 528u; });
    // One collective after the other, with all values changing.
    expect(
        "chain ",
        [&](Warp& w) {
          std::uint32_t x = w.lane();
          for (unsigned i = 1; i <= 9; ++i) x = w.shuffle(x * 3 + 1, w.lane() + i);
          return x;
        },
        [](unsigned i) {
          Lanes x;
          for (unsigned k = 0; k < 32; ++k) x[k] = k;
          for (unsigned step = 1; step <= 9; ++step) {
            Lanes next;
            for (unsigned k = 0; k < 32; ++k) next[k] = x[(k + step) % 32] * 3 + 1;
            x = next;
          }
          return x[i];
        });
  }
}

TEST(Emulator, WordsAreWhatTheInstructionsSay) {
  EXPECT_EQ(pick_bytes(0x33221100, 0x77665544, 0x7520), 0x77552200u);
  EXPECT_EQ(pick_bytes(0x33228100, 0x77665544, 0x9888), 0xFF000000u);
  EXPECT_EQ(funnel_right(0x33221100, 0x77665544, 8), 0x44332211u);
  EXPECT_EQ(funnel_right(0x33221100, 0x77665544, 32), 0x33221100u);
  EXPECT_EQ(funnel_right_clamped(0x33221100, 0x77665544, 32), 0x77665544u);
  EXPECT_EQ(funnel_left(0x33221100, 0x77665544, 8), 0x66554433u);
  EXPECT_EQ(funnel_left(0x33221100, 0x77665544, 32), 0x77665544u);
  EXPECT_EQ(dot_bytes(0x010203FF, 0x01010102, 5), 5u + 1 + 2 + 3 + 510);
  EXPECT_EQ(leading_zeros(0), 32u);
  EXPECT_EQ(trailing_zeros(0x50), 4u);
  EXPECT_EQ(highest_bit(0x50), 6u);
  EXPECT_EQ(highest_bit(0), 0xFFFFFFFFu);
}

TEST(Emulator, ScratchMemoryIsSharedBehindABarrier) {
  Emulator emulator(128);
  const Lanes lanes = lanes_of(emulator, [](Warp& warp) {
    warp.put_u32(4 * warp.lane(), 100 + warp.lane());
    warp.sync();
    return warp.u32(4 * (31 - warp.lane()));
  });
  for (unsigned i = 0; i < kWarpLanes; ++i) EXPECT_EQ(lanes[i], 131 - i);
}

TEST(Emulator, LanesMaySetBitsOfOneWordAtOnce) {
  Emulator emulator(4);
  const Lanes lanes = lanes_of(emulator, [](Warp& warp) {
    if (warp.lane() == 0) warp.put_u32(0, 0);
    warp.sync();
    warp.or_u32(0, 1u << warp.lane());
    warp.sync();
    return warp.u32(0);
  });
  for (const std::uint32_t value : lanes) EXPECT_EQ(value, 0xFFFFFFFFu);
}

TEST(Emulator, LanesMayRaiseOneWordAtOnce) {
  Emulator emulator(4);
  for (const auto order : {Emulator::Order::kForward, Emulator::Order::kReverse}) {
    emulator.set_order(order);
    const Lanes lanes = lanes_of(emulator, [](Warp& warp) {
      if (warp.lane() == 0) warp.put_u32(0, 3);
      warp.sync();
      warp.max_u32(0, warp.lane() ^ 9);
      warp.sync();
      return warp.u32(0);
    });
    for (const std::uint32_t value : lanes) EXPECT_EQ(value, 31u);
  }
}

TEST(Emulator, AMissingBarrierIsFound) {
  for (const auto order : {Emulator::Order::kForward, Emulator::Order::kReverse}) {
    Emulator emulator(128);
    emulator.set_order(order);
    // Read after a write, write after a read, two writes, and a read of bits that others set; a
    // shuffle is no barrier.
    EXPECT_THAT(emulator.run([](Warp& warp) {
      warp.put_u32(4 * warp.lane(), 1);
      (void)warp.shuffle(0, 1);
      (void)warp.u32(4 * (31 - warp.lane()));
    }),
                HasSubstr("without a sync() between"));
    EXPECT_THAT(emulator.run([](Warp& warp) {
      (void)warp.u32(0);
      (void)warp.shuffle(0, 1);
      if (warp.lane() == 5) warp.put_u8(3, 1);
    }),
                HasSubstr("without a sync() between"));
    EXPECT_THAT(emulator.run([](Warp& warp) { warp.put_u32(8, 1); }),
                HasSubstr("without a sync() between"));
    EXPECT_THAT(emulator.run([](Warp& warp) {
      warp.or_u32(8, 1);
      (void)warp.u32(8);
    }),
                HasSubstr("without a sync() between"));
    EXPECT_THAT(emulator.run([](Warp& warp) {
      if (warp.lane() == 3) {
        warp.max_u32(8, 1);
      } else {
        warp.or_u32(8, 1);
      }
    }),
                HasSubstr("without a sync() between"));
    // And it goes on with the next kernel.
    EXPECT_EQ(emulator.run([](Warp& warp) { warp.put_u32(4 * warp.lane(), 1); }), "");
  }
}

TEST(Emulator, CollectivesThatNotAllLanesCallAreFound) {
  Emulator emulator(4);
  // Outside the macro, all of whose lines are one place.
  const auto one_lane_less = [](Warp& warp) {
    if (warp.lane() != 7) (void)warp.ballot(true);
  };
  const auto two_places = [](Warp& warp) {
    if (warp.lane() < 16) {
      (void)warp.ballot(true);
    } else {
      (void)warp.ballot(true);
    }
  };
  EXPECT_THAT(emulator.run(one_lane_less), HasSubstr("lane 7 has ended"));
  EXPECT_THAT(emulator.run(two_places), HasSubstr("not called by all lanes"));
  EXPECT_EQ(emulator.run([](Warp& warp) { warp.sync(); }), "");
}

TEST(Emulator, AccessesThatAGpuFaultsOnAreFound) {
  Emulator emulator(32);
  EXPECT_THAT(emulator.run([](Warp& warp) { (void)warp.u32(2); }), HasSubstr("not aligned"));
  EXPECT_THAT(emulator.run([](Warp& warp) { (void)warp.u32(32); }), HasSubstr("outside"));
  EXPECT_THAT(emulator.run([](Warp& warp) { (void)warp.u8(0xFFFFFFFF); }), HasSubstr("outside"));
  alignas(16) const std::byte bytes[32] = {};
  EXPECT_THAT(emulator.run([&](Warp&) { (void)global_words4(bytes + 8); }),
              HasSubstr("not aligned"));
  EXPECT_EQ(emulator.run([&](Warp&) { (void)global_words4(bytes + 16); }), "");
}

TEST(Emulator, KernelsThatDoNotEndAreFound) {
  Emulator emulator(4);
  EXPECT_THAT(emulator.run([](Warp& warp) {
    while (warp.u32(0) != warp.u32(0) + 1) {
    }
  }),
              HasSubstr("does not end"));
  EXPECT_THAT(emulator.run([](Warp& warp) {
    while (!warp.any(false)) {
    }
  }),
              HasSubstr("does not end"));
}

TEST(Emulator, ScratchMemoryHoldsNoiseAtFirst) {
  Emulator emulator(4);
  std::set<std::uint32_t> values;
  for (unsigned i = 0; i < 8; ++i) {
    values.insert(lanes_of(emulator, [](Warp& warp) { return warp.u32(0); })[0]);
  }
  EXPECT_EQ(values.size(), 8u);
}

TEST(Emulator, CountsWhatAWarpDoes) {
  Emulator emulator(32 * 32 * 4);
  const auto steps_of = [&](const std::function<void(Warp&)>& kernel) {
    const std::uint64_t before = emulator.counters().scratch_steps;
    EXPECT_EQ(emulator.run(kernel), "");
    return emulator.counters().scratch_steps - before;
  };
  EXPECT_EQ(steps_of([](Warp& warp) { (void)warp.u32(4 * warp.lane()); }), 1u);
  EXPECT_EQ(steps_of([](Warp& warp) { (void)warp.u32(0); }), 1u);
  EXPECT_EQ(steps_of([](Warp& warp) { (void)warp.u32(8 * warp.lane()); }), 2u);
  EXPECT_EQ(steps_of([](Warp& warp) { (void)warp.u32(128 * warp.lane()); }), 32u);
  EXPECT_EQ(steps_of([](Warp& warp) { (void)warp.words4(16 * warp.lane()); }), 4u);
  EXPECT_EQ(steps_of([](Warp& warp) { (void)warp.u8(warp.lane()); }), 1u);
  const auto before = emulator.counters();
  EXPECT_EQ(emulator.run([](Warp& warp) {
    for (unsigned i = 0; i < warp.lane(); ++i) warp.count(3);
    warp.sync();
    warp.count(3);
    (void)warp.ballot(true);
  }),
            "");
  EXPECT_EQ(emulator.counters().phases[3] - before.phases[3], 31u + 1);
  EXPECT_EQ(emulator.counters().collectives - before.collectives, 2u);
  EXPECT_EQ(emulator.counters().syncs - before.syncs, 1u);
}

// A sanitizer's marks on lanes' stacks would stay behind, for whoever has memory there next.
TEST(Emulator, LeavesNothingWhereItsStacksWere) {
  constexpr std::size_t kBytes = std::size_t{256} << 10;
  for (int i = 0; i < 8; ++i) {
    {
      Emulator emulator(4);
      EXPECT_EQ(emulator.run([](Warp& warp) { warp.sync(); }), "");
    }
    std::vector<void*> maps;
    for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
      void* const map =
          mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      ASSERT_NE(map, MAP_FAILED);
      std::memset(map, 1, kBytes);
      maps.push_back(map);
    }
    for (void* const map : maps) munmap(map, kBytes);
  }
}

}  // namespace
}  // namespace pleat::gpu
