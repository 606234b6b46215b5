// SPDX-License-Identifier: MIT OR Apache-2.0
// Measures the store page by page against the codec alone, memcpy and, where asked for, a kernel
// zram device in the same run: `pleat bench store`.
//
// A repeat writes all pages of a set into empty slots, writes them again over the old ones, reads
// them and compares, and discards them, each over pages in an order shuffled anew: once under the
// CPU clock of the thread, and once with every call timed by itself. In each of these passes the
// subjects take turns in an order that differs each time. CPU time is that of the best repeat,
// quantiles are over the single calls of all repeats. System time is included. Same-filled pages
// are left out unless the set has no others, since a store compresses none of them.
//
// The store's background thread provides memory before a pass begins and takes it back later, and
// is not part of a thread's own time; background_us says what it costs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "codec/kernels.h"
#include "tool/bench_clock.h"
#include "tool/page_set.h"
#include "tool/store_subject.h"

namespace pleat::tool {

enum class StoreOperation : std::uint8_t { kWrite, kOverwrite, kRead, kDiscard };
inline constexpr std::array<const char*, 4> kStoreOperationNames = {"write", "overwrite", "read",
                                                                    "discard"};
inline constexpr std::size_t kStoreOperations = kStoreOperationNames.size();

struct OperationTimes {
  double us = 0;      // CPU time a page; 0 where the subject has no such operation
  double spread = 0;  // of the median repeat over the best, less 1
  double call_p50_us = 0;
  double call_p99_us = 0;
  double call_p999_us = 0;
  double gb_per_s = 0;  // by wall clock, all threads together: the best repeat
};

struct StoreResult {
  std::string subject;
  unsigned threads = 1;
  std::array<OperationTimes, kStoreOperations> operations;

  const OperationTimes& at(StoreOperation operation) const {
    return operations[static_cast<std::size_t>(operation)];
  }
};

// What the store takes for the pages of a set, written so often that they fill 256 MiB.
struct StoreMemory {
  double ratio = 0;             // stored pages over pool pages, page headers and the like included
  double metadata_share = 0;    // metadata_bytes over mem_used_total
  double slot_table_share = 0;  // slot_table_bytes over device_bytes
  double background_us = 0;  // CPU time of the background thread for a page written and discarded
  double zram_ratio = 0;     // of kernel zram, where it was measured
};

struct StoreCorpusResult {
  std::string name;
  bool synthetic = false;
  std::size_t pages = 0;
  std::size_t same_filled = 0;       // pages left out
  std::vector<StoreResult> results;  // memcpy, the codec alone, the store, zram; then threads
  StoreMemory memory;
};

struct StoreBenchOptions {
  std::string codec = "lz4";
  const codec::Kernels* kernels = nullptr;  // required
  std::vector<unsigned> threads = {1, 2};   // 1 is always measured
  unsigned repeats = 9;
  std::uint64_t seed = 1;
  bool zram = false;
  BenchClock clock;
};

struct StoreBenchReport {
  unsigned repeats = 0;
  std::string codec;
  std::string isa;
  std::vector<StoreCorpusResult> corpora;
};

// Indices into StoreCorpusResult::results; zram's are there where it was measured.
inline constexpr std::size_t kMemcpyResult = 0;
inline constexpr std::size_t kCodecResult = 1;
inline constexpr std::size_t kStoreResult = 2;
inline constexpr std::size_t kZramResult = 3;
inline constexpr std::size_t kZramSameFilledResult = 4;

// EBADMSG where a page comes back wrong, EIO where an operation fails, EINTR where a signal came
// while the zram device existed; errors of the store and of ZramPeer.
Result<StoreBenchReport> run_store_bench(const std::vector<PageSet>& sets,
                                         const StoreBenchOptions& options);

// The turns of several subjects over one page set on the calling thread.
Result<std::vector<StoreResult>> measure_subjects(const PageSet& set,
                                                  std::vector<StoreSubject>& subjects,
                                                  unsigned repeats, std::uint64_t seed,
                                                  const BenchClock& clock);

// The pages of `set` that are not same-filled, or all where there are none.
PageSet without_same_filled(const PageSet& set);

}  // namespace pleat::tool
