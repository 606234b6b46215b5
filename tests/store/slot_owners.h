// SPDX-License-Identifier: MIT OR Apache-2.0
// Threads that use slots of their own while others do what must not change a page: one that came
// back or was lost would be seen by its owner.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "repetitions.h"
#include "store/adoption.h"
#include "store/pages.h"

namespace pleat::store {

// Overwrites, parts of pages, discards and reads by three threads, of `slots` slots and of pages
// that `make_page` makes of random numbers, while each of `meanwhile` is called again and again. At
// the end nothing is left in the store.
inline void use_slots_while(Store& store, std::uint64_t slots,
                            const std::function<TestPage(std::uint64_t)>& make_page,
                            const std::vector<std::function<void()>>& meanwhile) {
  constexpr unsigned kThreads = 3;
  constexpr unsigned kSteps = test::repetitions(3000);
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> bad{0};
  const auto use = [&](unsigned thread) {
    const auto session = make_session(store);
    std::mt19937_64 random(seed + thread);
    std::vector<TestPage> expected(slots);
    TestPage page;
    for (unsigned step = 0; step < kSteps; ++step) {
      const std::uint64_t slot = random() % (slots / kThreads) * kThreads + thread;
      switch (random() % 6) {
        case 0:
        case 1:
          page = make_page(random());
          if (session->write(slot, page.data()) == StoreStatus::kOk) expected[slot] = page;
          break;
        case 2:
          page = make_page(random());
          if (session->write_part(slot, 512, page.data() + 512, 1024) == StoreStatus::kOk) {
            std::memcpy(expected[slot].data() + 512, page.data() + 512, 1024);
          }
          break;
        case 3:
          if (random() % 4 != 0) break;
          session->discard(slot, 1);
          expected[slot] = TestPage{};
          break;
        default:
          bad += session->read(slot, page.data()) != StoreStatus::kOk || page != expected[slot];
      }
      if (step % 8 == 0) std::this_thread::yield();
    }
    for (std::uint64_t slot = thread; slot < slots; slot += kThreads) {
      bad += session->read(slot, page.data()) != StoreStatus::kOk || page != expected[slot];
    }
  };
  std::vector<std::thread> others;
  for (const auto& work : meanwhile) {
    others.emplace_back([&] {
      while (!stop) work();
    });
  }
  std::vector<std::thread> owners;
  for (unsigned i = 0; i < kThreads; ++i) owners.emplace_back(use, i);
  for (std::thread& thread : owners) thread.join();
  stop = true;
  for (std::thread& thread : others) thread.join();
  EXPECT_EQ(bad.load(), 0u);
  const auto session = make_session(store);
  expect_nothing_leaked(store, *session);
}

}  // namespace pleat::store
