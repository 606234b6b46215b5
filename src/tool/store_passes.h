// SPDX-License-Identifier: MIT OR Apache-2.0
// The passes that one thread makes over one page set with one subject, and what they have measured.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "base/result.h"
#include "tool/bench_clock.h"
#include "tool/page_set.h"
#include "tool/store_bench.h"
#include "tool/store_subject.h"

namespace pleat::tool {

// Begin and end of one pass by the wall clock.
struct WallSpan {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
};

class StorePasses {
 public:
  // Called before every pass, so that several threads begin theirs together.
  using Barrier = std::function<void()>;

  StorePasses(
      const StoreSubject& subject, const PageSet& set, const BenchClock& clock,
      Barrier barrier = [] {});

  // One pass over all pages, with each call timed by itself or not. The operations of a repeat come
  // in the order of StoreOperation. Nothing happens where the subject has no such operation. After
  // a read the pages are compared. A pass after a failed one is made all the same, so that other
  // threads that wait at the barrier go on.
  void pass(StoreOperation operation, bool by_call, std::mt19937_64& random, PageBuffer& pages);

  // The first failure of all passes.
  const Result<void>& failure() const { return failure_; }

  // The samples of all turns.
  OperationTimes times(StoreOperation operation) const;
  const std::vector<WallSpan>& wall(StoreOperation operation) const {
    return samples_[static_cast<std::size_t>(operation)].wall;
  }
  const std::vector<std::uint64_t>& call_ticks(StoreOperation operation) const {
    return samples_[static_cast<std::size_t>(operation)].call_ticks;
  }
  const StoreSubject& subject() const { return *subject_; }

 private:
  struct Samples {
    std::vector<std::uint64_t> pass_ns;
    std::vector<std::uint64_t> call_ticks;
    std::vector<WallSpan> wall;
  };

  bool available(StoreOperation operation) const;
  bool call(StoreOperation operation, std::size_t i, PageBuffer& pages) const;
  void cpu_pass(StoreOperation operation, const std::vector<std::size_t>& order, PageBuffer& pages);
  void call_pass(StoreOperation operation, const std::vector<std::size_t>& order,
                 PageBuffer& pages);
  void note(StoreOperation operation, bool succeeded);
  void verify(const PageBuffer& pages);

  const StoreSubject* subject_;
  const PageSet* set_;
  const BenchClock* clock_;
  Barrier barrier_;
  std::vector<std::size_t> place_;  // page i is read to page place_[i]
  std::array<Samples, kStoreOperations> samples_;
  Result<void> failure_;  // the first one
};

}  // namespace pleat::tool
