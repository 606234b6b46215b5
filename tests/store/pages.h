// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages for the store's tests, made from a number, and stores to put them in.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <utility>

#include "base/page.h"
#include "store/store.h"

namespace pleat::store {

using TestPage = std::array<std::byte, kPageSize>;

// A page of random bytes: incompressible.
inline TestPage random_page(std::uint64_t seed) {
  TestPage page;
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < kPageSize; at += 8) {
    const std::uint64_t word = random();
    std::memcpy(page.data() + at, &word, 8);
  }
  return page;
}

// A page of which about `random_bytes` do not compress and the rest does.
inline TestPage mixed_page(std::uint64_t seed, std::size_t random_bytes) {
  TestPage page = random_page(seed);
  std::memset(page.data() + random_bytes, static_cast<int>(seed & 0xFF), kPageSize - random_bytes);
  std::memcpy(page.data() + kPageSize - 8, &seed, 8);  // never same-filled
  return page;
}

inline TestPage same_filled_page(std::uint64_t pattern) {
  TestPage page;
  for (std::size_t at = 0; at < kPageSize; at += 8) std::memcpy(page.data() + at, &pattern, 8);
  return page;
}

inline const codec::Kernels* test_kernels() { return codec::available_kernels().back(); }

inline StoreOptions small_store(std::uint64_t pages) {
  StoreOptions options;
  options.device_bytes = pages * kPageSize;
  options.kernels = test_kernels();
  options.sessions_max = 8;
  return options;
}

inline std::unique_ptr<Store> make_store(const StoreOptions& options) {
  auto store = Store::create(options);
  if (!store) {
    ADD_FAILURE() << store.error().message;
    return nullptr;
  }
  return std::move(*store);
}

inline std::unique_ptr<Store::Session> make_session(Store& store) {
  auto session = store.open_session();
  if (!session) {
    ADD_FAILURE() << session.error().message;
    return nullptr;
  }
  return std::move(*session);
}

inline TestPage read_page(Store::Session& session, std::uint64_t slot) {
  TestPage page;
  page.fill(std::byte{0x5A});
  EXPECT_EQ(session.read(slot, page.data()), StoreStatus::kOk);
  return page;
}

}  // namespace pleat::store
