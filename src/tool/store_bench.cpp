// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/store_bench.h"

#include <time.h>

#include <algorithm>
#include <barrier>
#include <cerrno>
#include <cstring>
#include <memory>
#include <numeric>
#include <thread>
#include <utility>

#include "base/sample_stats.h"
#include "tool/store_passes.h"
#include "tool/zram_peer.h"

namespace pleat::tool {
namespace {

constexpr std::array kAllOperations = {StoreOperation::kWrite, StoreOperation::kOverwrite,
                                       StoreOperation::kRead, StoreOperation::kDiscard};

// Slots of the store, at least, in which memory is measured: 256 MiB.
constexpr std::size_t kMemoryPages = 65536;

// A store with slots for `pages` pages a thread, and all their memory in the reserve, so that no
// write waits for the background thread. Overwriting needs memory for old and new.
Result<std::unique_ptr<store::Store>> make_store(std::size_t pages, unsigned threads,
                                                 const StoreBenchOptions& options) {
  store::StoreOptions store;
  store.device_bytes = std::uint64_t{pages} * threads * kPageSize;
  store.codec = options.codec;
  store.kernels = options.kernels;
  store.sessions_max = threads;
  store.reserve_bytes = store.device_bytes + (std::uint64_t{8} << 20);
  return store::Store::create(store);
}

StoreResult result_of(const StorePasses& passes) {
  StoreResult result;
  result.subject = passes.subject().name;
  for (const StoreOperation operation : kAllOperations) {
    OperationTimes times = passes.times(operation);
    times.gb_per_s = times.us > 0 ? static_cast<double>(kPageSize) / times.us / 1000 : 0;
    result.operations[static_cast<std::size_t>(operation)] = times;
  }
  return result;
}

// All of `parts` made their passes together: CPU time is their mean, throughput that of the pass
// whose span from the first begin to the last end is the shortest.
StoreResult result_of_threads(const std::vector<StorePasses>& parts, std::size_t pages,
                              const BenchClock& clock) {
  StoreResult result;
  result.subject = parts.front().subject().name;
  result.threads = static_cast<unsigned>(parts.size());
  for (const StoreOperation operation : kAllOperations) {
    OperationTimes& sum = result.operations[static_cast<std::size_t>(operation)];
    std::vector<std::uint64_t> ticks;
    for (const StorePasses& part : parts) {
      const OperationTimes times = part.times(operation);
      sum.us += times.us / static_cast<double>(parts.size());
      sum.spread = std::max(sum.spread, times.spread);
      const auto& calls = part.call_ticks(operation);
      ticks.insert(ticks.end(), calls.begin(), calls.end());
    }
    const double us_per_tick = 1e6 / clock.rate();
    sum.call_p50_us = static_cast<double>(quantile(ticks, 0.5)) * us_per_tick;
    sum.call_p99_us = static_cast<double>(quantile(ticks, 0.99)) * us_per_tick;
    sum.call_p999_us = static_cast<double>(quantile(ticks, 0.999)) * us_per_tick;
    const double bytes = static_cast<double>(pages * kPageSize * parts.size());
    for (std::size_t repeat = 0; repeat < parts.front().wall(operation).size(); ++repeat) {
      WallSpan all = parts.front().wall(operation)[repeat];
      for (const StorePasses& part : parts) {
        all.begin_ns = std::min(all.begin_ns, part.wall(operation)[repeat].begin_ns);
        all.end_ns = std::max(all.end_ns, part.wall(operation)[repeat].end_ns);
      }
      const auto ns = static_cast<double>(std::max<std::uint64_t>(1, all.end_ns - all.begin_ns));
      sum.gb_per_s = std::max(sum.gb_per_s, bytes / ns);
    }
  }
  return result;
}

Result<StoreResult> measure_threads(const PageSet& set, unsigned threads,
                                    const StoreBenchOptions& options) {
  Result<std::unique_ptr<store::Store>> store = make_store(set.count, threads, options);
  if (!store) return std::move(store).error();
  std::vector<StoreSubject> subjects;
  for (unsigned i = 0; i < threads; ++i) {
    Result<StoreSubject> subject = store_subject("store", **store, std::uint64_t{i} * set.count);
    if (!subject) return std::move(subject).error();
    subjects.push_back(std::move(*subject));
  }
  std::barrier<> begin(threads);
  std::vector<StorePasses> passes;
  for (unsigned i = 0; i < threads; ++i) {
    passes.emplace_back(subjects[i], set, options.clock, [&begin] { begin.arrive_and_wait(); });
  }
  const auto work = [&](unsigned i) {
    std::mt19937_64 random(options.seed + i);
    PageBuffer pages(set.count * kPageSize);
    for (unsigned repeat = 0; repeat < options.repeats; ++repeat) {
      for (const bool by_call : {false, true}) {
        for (const StoreOperation operation : kAllOperations) {
          passes[i].pass(operation, by_call, random, pages);
        }
      }
    }
  };
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(work, i);
  work(0);
  others.clear();
  for (const StorePasses& one : passes) {
    if (!one.failure()) return one.failure().error();
  }
  return result_of_threads(passes, set.count, options.clock);
}

// How often the pages of a set are written to measure the memory they take. In a small store the
// part-filled pages of each size class weigh more than they do in one of a useful size.
std::size_t copies_of(const PageSet& set) {
  return std::max<std::size_t>(1, kMemoryPages / set.count);
}

// Fills a store with copies of the pages and reads its statistics, then discards them all, with the
// process's CPU time beside the thread's.
Result<StoreMemory> measure_memory(const PageSet& set, const StoreBenchOptions& options) {
  const std::size_t slots = set.count * copies_of(set);
  store::StoreOptions store_options;
  store_options.device_bytes = std::uint64_t{slots} * kPageSize;
  store_options.codec = options.codec;
  store_options.kernels = options.kernels;
  Result<std::unique_ptr<store::Store>> store = store::Store::create(store_options);
  if (!store) return std::move(store).error();
  Result<StoreSubject> subject = store_subject("store", **store, 0);
  if (!subject) return std::move(subject).error();
  StoreMemory memory;
  const std::uint64_t process_begin = process_cpu_ns();
  const std::uint64_t thread_begin = thread_cpu_ns();
  for (std::size_t slot = 0; slot < slots; ++slot) {
    const std::byte* page = set.page(slot % set.count);
    if (subject->write(slot, page)) continue;
    // The reserve is used up.
    subject->settle();
    if (!subject->write(slot, page)) return Error{EIO, "store: a write of " + set.name + " failed"};
  }
  subject->settle();
  const store::StoreStats stats = (*store)->stats();
  for (std::size_t slot = 0; slot < slots; ++slot) subject->discard(slot);
  subject->settle();
  const std::uint64_t thread_ns = thread_cpu_ns() - thread_begin;
  const std::uint64_t process_ns = process_cpu_ns() - process_begin;
  memory.background_us = static_cast<double>(process_ns - std::min(process_ns, thread_ns)) / 1000 /
                         static_cast<double>(slots);
  if (stats.mem_used_total > 0) {
    const auto used = static_cast<double>(stats.mem_used_total);
    memory.ratio = static_cast<double>(stats.orig_data_size) / used;
    memory.metadata_share = static_cast<double>(stats.metadata_bytes) / used;
  }
  memory.slot_table_share =
      static_cast<double>(stats.slot_table_bytes) / static_cast<double>(stats.device_bytes);
  return memory;
}

Result<double> zram_ratio(const PageSet& set, ZramPeer& zram) {
  const StoreSubject subject = zram.subject(0);
  const std::size_t slots = set.count * copies_of(set);
  for (std::size_t slot = 0; slot < slots; ++slot) {
    if (!subject.write(slot, set.page(slot % set.count))) {
      return errno_error("kernel zram: a write failed");
    }
  }
  Result<ZramPeer::Memory> memory = zram.memory();
  for (std::size_t slot = 0; slot < slots; ++slot) subject.discard(slot);
  if (!memory) return std::move(memory).error();
  if (memory->used_bytes == 0) return 0;
  return static_cast<double>(memory->stored_bytes) / static_cast<double>(memory->used_bytes);
}

Result<StoreCorpusResult> run_corpus(const PageSet& whole, const StoreBenchOptions& options) {
  const PageSet set = without_same_filled(whole);
  Result<std::unique_ptr<store::Store>> store = make_store(set.count, 1, options);
  if (!store) return std::move(store).error();
  Result<StoreSubject> ours = store_subject("store", **store, 0);
  if (!ours) return std::move(ours).error();
  Result<StoreSubject> codec =
      codec_alone_subject(set, options.codec, *options.kernels, options.seed);
  if (!codec) return std::move(codec).error();
  std::vector<StoreSubject> subjects = {memcpy_store_subject(set.count), std::move(*codec),
                                        std::move(*ours)};
  std::unique_ptr<ZramPeer> zram;
  if (options.zram) {
    Result<std::unique_ptr<ZramPeer>> created =
        ZramPeer::create((copies_of(set) + 1) * set.count * kPageSize, "lz4");
    if (!created) return std::move(created).error();
    zram = std::move(*created);
    subjects.push_back(zram->subject(0));
    subjects.push_back(zram->same_filled_subject(copies_of(set) * set.count));
  }
  Result<std::vector<StoreResult>> measured =
      measure_subjects(set, subjects, options.repeats, options.seed, options.clock);
  if (!measured) return std::move(measured).error();

  StoreCorpusResult result;
  result.name = set.name;
  result.synthetic = set.synthetic;
  result.pages = set.count;
  result.same_filled = whole.count - set.count;
  result.results = std::move(*measured);
  for (const unsigned threads : options.threads) {
    if (threads < 2) continue;
    Result<StoreResult> together = measure_threads(set, threads, options);
    if (!together) return std::move(together).error();
    result.results.push_back(std::move(*together));
  }
  Result<StoreMemory> memory = measure_memory(set, options);
  if (!memory) return std::move(memory).error();
  result.memory = *memory;
  if (zram) {
    Result<double> ratio = zram_ratio(set, *zram);
    if (!ratio) return std::move(ratio).error();
    result.memory.zram_ratio = *ratio;
  }
  return result;
}

}  // namespace

PageSet without_same_filled(const PageSet& set) {
  PageSet kept;
  kept.name = set.name;
  kept.synthetic = set.synthetic;
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < set.count; ++i) {
    if (set.same_filled == set.count || !same_filled(set.page(i))) wanted.push_back(i);
  }
  kept.count = wanted.size();
  kept.same_filled = set.same_filled == set.count ? set.count : 0;
  kept.memory = PageBuffer(kept.count * kPageSize);
  for (std::size_t i = 0; i < kept.count; ++i) {
    std::memcpy(kept.memory.page(i), set.page(wanted[i]), kPageSize);
  }
  return kept;
}

Result<std::vector<StoreResult>> measure_subjects(const PageSet& set,
                                                  std::vector<StoreSubject>& subjects,
                                                  unsigned repeats, std::uint64_t seed,
                                                  const BenchClock& clock) {
  std::mt19937_64 random(seed);
  PageBuffer pages(set.count * kPageSize);
  std::vector<StorePasses> passes;
  for (const StoreSubject& subject : subjects) passes.emplace_back(subject, set, clock);
  std::vector<std::size_t> turns(subjects.size());
  std::iota(turns.begin(), turns.end(), std::size_t{0});
  // The repeats, with and without timing of single calls, and in each the operations in order.
  for (unsigned round = 0; round < 2 * repeats; ++round) {
    for (const StoreOperation operation : kAllOperations) {
      std::shuffle(turns.begin(), turns.end(), random);
      for (const std::size_t turn : turns) {
        passes[turn].pass(operation, round % 2 == 1, random, pages);
        if (!passes[turn].failure()) return passes[turn].failure().error();
        if (BlockedSignals::pending()) return Error{EINTR, "interrupted"};
      }
    }
  }
  std::vector<StoreResult> results;
  for (const StorePasses& one : passes) results.push_back(result_of(one));
  return results;
}

Result<StoreBenchReport> run_store_bench(const std::vector<PageSet>& sets,
                                         const StoreBenchOptions& options) {
  if (sets.empty() || options.repeats == 0) {
    return Error{EINVAL, "a benchmark needs pages and at least one repeat"};
  }
  StoreBenchReport report;
  report.repeats = options.repeats;
  report.codec = options.codec;
  report.isa = options.kernels->name;
  for (const PageSet& set : sets) {
    Result<StoreCorpusResult> corpus = run_corpus(set, options);
    if (!corpus) return std::move(corpus).error();
    report.corpora.push_back(std::move(*corpus));
  }
  return report;
}

}  // namespace pleat::tool
