// SPDX-License-Identifier: MIT OR Apache-2.0
// What a page passes through besides its codec, one step at a time, in the first-level cache: the
// scan for same-filled pages, the check of a stored object, the choice of a size class, and the
// statistics. `pleat bench store` measures them together and with their cache misses.
#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "base/histogram.h"
#include "base/page.h"
#include "codec/kernels.h"
#include "device/queue_stats.h"
#include "store/check.h"
#include "store/counters.h"
#include "store/size_class.h"

namespace pleat {
namespace {

struct alignas(kPageSize) Page {
  std::array<std::byte, kPageSize> bytes{};
};

// The longest scan: every word is looked at.
void same_filled(benchmark::State& state, const codec::Kernels* kernels) {
  static Page page;
  std::uint64_t pattern = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels->same_filled(page.bytes.data(), &pattern));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kPageSize));
}

void fill(benchmark::State& state, const codec::Kernels* kernels) {
  static Page page;
  for (auto _ : state) {
    kernels->fill(page.bytes.data(), 0x0123456789abcdef);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kPageSize));
}

void check(benchmark::State& state) {
  static Page page;
  const auto size = static_cast<std::size_t>(state.range(0));
  std::uint64_t seed = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(store::check_bytes(page.bytes.data(), size, seed++));
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
}
BENCHMARK(check)->Arg(200)->Arg(1600)->Arg(4096);

void size_class(benchmark::State& state) {
  std::mt19937_64 random(1);
  std::vector<std::size_t> sizes(4096);
  for (std::size_t& size : sizes) size = 1 + random() % store::kPageObjectBytesMax;
  std::size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(store::size_class_of(sizes[i++ % sizes.size()]));
}
BENCHMARK(size_class);

void histogram_record(benchmark::State& state) {
  static Histogram histogram;
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> values(4096);
  for (std::uint64_t& value : values) value = random() >> (24 + random() % 40);
  std::size_t i = 0;
  for (auto _ : state) histogram.record(values[i++ % values.size()]);
}
BENCHMARK(histogram_record);

void clock(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(ticks_now());
}
BENCHMARK(clock);

// All that a request of one page adds to its queue's statistics, with both looks at the clock.
void request_statistics(benchmark::State& state) {
  static device::RequestCounter counter;
  for (auto _ : state) {
    counter.answered(device::Operation::kWrite, kPageSize, 0, ticks_now());
  }
}
BENCHMARK(request_statistics);

// What a page that replaces another adds to its session's counters.
void store_statistics(benchmark::State& state) {
  static store::Counters counters;
  std::size_t length = 1000;
  for (auto _ : state) {
    store::WordCounts counts;
    counts.add(store::SlotWord::compressed(codec::CodecId::kLz4, 1, length), 1);
    counts.add(store::SlotWord::compressed(codec::CodecId::kLz4, 1, 1500), -1);
    counts.count_in(counters);
    benchmark::DoNotOptimize(++length);
    if (length == 3000) length = 1000;
  }
}
BENCHMARK(store_statistics);

}  // namespace
}  // namespace pleat

int main(int argc, char** argv) {
  for (const pleat::codec::Kernels* kernels : pleat::codec::available_kernels()) {
    const std::string tier = std::string("/") + kernels->name;
    benchmark::RegisterBenchmark(("same_filled" + tier).c_str(), pleat::same_filled, kernels);
    benchmark::RegisterBenchmark(("fill" + tier).c_str(), pleat::fill, kernels);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
