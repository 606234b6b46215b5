// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/gpu_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>
#include <utility>

#include "base/sample_stats.h"
#include "codec/page_codec.h"
#include "codec/zstd/xxh64.h"
#include "gpu/gpu_library.h"
#include "tool/text_table.h"

namespace pleat::tool {
namespace {

constexpr std::uint32_t kCapacity = 3072;
// Of a part: small enough that a batch has several, which overlap on the link and in the kernels.
constexpr std::uint32_t kPartPages = 2048;
constexpr std::uint32_t kStandardPages = 16384;
constexpr unsigned kInfoRepeats = 5;

// What one thread compresses and decompresses: its share of the pages, into memory of its own.
struct Share {
  codec::PageCodec codec;
  std::size_t begin;
  std::size_t end;
  PageBuffer blocks;
  std::vector<codec::Encoded> encoded;
  PageBuffer page;
  bool good = true;

  void compress(const PageBuffer& pages) {
    for (std::size_t i = begin; i < end; ++i) {
      encoded[i - begin] = codec.encode(pages.page(i), blocks.page(i - begin), kCapacity);
    }
  }
  void decompress() {
    for (std::size_t i = begin; i < end; ++i) {
      const codec::Encoded& block = encoded[i - begin];
      if (block.size == 0) continue;
      good &= codec.decode(block.id, blocks.page(i - begin), block.size, page.data());
    }
  }
  void verify(const PageBuffer& pages) {
    for (std::size_t i = begin; i < end; ++i) {
      const codec::Encoded& block = encoded[i - begin];
      if (block.size == 0) continue;
      good &= codec.decode(block.id, blocks.page(i - begin), block.size, page.data()) &&
              std::memcmp(page.data(), pages.page(i), kPageSize) == 0;
    }
  }
};

// Seconds until all shares are done, the median of the repeats.
template <typename Work>
double time_shares(std::vector<Share>& shares, unsigned repeats, const Work& work) {
  std::vector<double> seconds;
  std::barrier gate(static_cast<std::ptrdiff_t>(shares.size()) + 1);
  std::vector<std::jthread> threads;
  for (Share& share : shares) {
    threads.emplace_back([&gate, &share, &work, repeats] {
      for (unsigned i = 0; i <= repeats; ++i) {
        gate.arrive_and_wait();
        work(share);
        gate.arrive_and_wait();
      }
    });
  }
  for (unsigned i = 0; i <= repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    gate.arrive_and_wait();
    gate.arrive_and_wait();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (i != 0) seconds.push_back(took.count());
  }
  return median(std::move(seconds));
}

// Pages as memory has them, of words that are zero, small, pointers near each other, and noise: the
// same set on every machine.
PageBuffer standard_pages(std::size_t count) {
  std::mt19937_64 random(1);
  PageBuffer pages(count * kPageSize);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t heap = 0x00007F0000000000 | (random() & 0xFFFFFF0000);
    for (std::size_t word = 0; word < kPageSize / 8; ++word) {
      const std::uint64_t draw = random();
      std::uint64_t value = 0;
      if (draw % 16 < 4) value = heap | (draw >> 40 & 0xFFF8);
      if (draw % 16 >= 4 && draw % 16 < 8) value = draw >> 56;
      if (draw % 16 == 8) value = draw;
      std::memcpy(pages.page(i) + 8 * word, &value, 8);
    }
  }
  return pages;
}

pleat_gpu_options options_for(const std::string& codec, std::uint32_t device) {
  return {.size = sizeof(pleat_gpu_options),
          .codec = codec.c_str(),
          .device = device,
          .pages = kPartPages,
          .capacity = kCapacity};
}

std::string describe(const pleat_gpu_info& info) {
  return fmt::format("{}, sm_{}{}, {} multiprocessors, {:.0f} GiB, driver for CUDA {}.{}{}",
                     info.name, info.compute_major, info.compute_minor, info.multiprocessors,
                     static_cast<double>(info.memory_bytes) / (1 << 30), info.driver_version / 1000,
                     info.driver_version % 1000 / 10,
                     info.emulated != 0 ? "; a CPU stands in for it: its times mean nothing" : "");
}

std::string gb(double rate) { return fmt::format("{:.3g}", rate); }

}  // namespace

Result<CoresRates> measure_cores(const std::string& codec, const codec::Kernels& kernels,
                                 const PageBuffer& pages, std::size_t count, unsigned threads,
                                 unsigned repeats) {
  std::vector<Share> shares;
  threads = static_cast<unsigned>(std::min<std::size_t>(threads, count));
  for (unsigned i = 0; i < threads; ++i) {
    Result<codec::PageCodec> opened = codec::PageCodec::open(codec, kernels);
    if (!opened) return std::move(opened).error();
    const std::size_t begin = count * i / threads;
    const std::size_t end = count * (i + 1) / threads;
    shares.push_back({.codec = std::move(*opened),
                      .begin = begin,
                      .end = end,
                      .blocks = PageBuffer((end - begin) * kPageSize),
                      .encoded = std::vector<codec::Encoded>(end - begin),
                      .page = PageBuffer(kPageSize)});
  }
  const double bytes = static_cast<double>(count * kPageSize) / 1e9;
  CoresRates rates;
  rates.compress =
      bytes / time_shares(shares, repeats, [&](Share& share) { share.compress(pages); });
  rates.decompress = bytes / time_shares(shares, repeats, [](Share& share) { share.decompress(); });
  std::size_t stored = 0;
  for (Share& share : shares) {
    share.verify(pages);
    if (!share.good) return Error{EBADMSG, codec + " does not return the pages it was given"};
    for (const codec::Encoded& block : share.encoded) {
      stored += block.size == 0 ? kPageSize : block.size;
    }
  }
  rates.ratio = static_cast<double>(count * kPageSize) / static_cast<double>(stored);
  return rates;
}

Result<GpuBenchReport> run_gpu_bench(const std::vector<PageSet>& sets,
                                     const codec::Kernels& kernels,
                                     const GpuBenchOptions& options) {
  GpuBenchReport report;
  report.threads = options.threads;
  report.repeats = options.repeats;
  std::vector<const std::byte*> pool;
  for (const PageSet& set : sets) {
    for (std::size_t i = 0; i < set.count; ++i) {
      if (same_filled(set.page(i))) {
        ++report.same_filled;
      } else {
        pool.push_back(set.page(i));
      }
    }
  }
  report.distinct_pages = pool.size();
  if (pool.empty())
    return Error{EINVAL, "all pages are same-filled; a GPU has nothing to do there"};
  std::vector<std::byte> all;
  all.reserve(pool.size() * kPageSize);
  for (const std::byte* page : pool) all.insert(all.end(), page, page + kPageSize);
  report.pages_hash = fmt::format("{:016x}", codec::xxh64(all));

  std::mt19937_64 random(options.seed);
  for (const std::uint32_t count : options.batches) {
    PageBuffer batch(std::size_t{count} * kPageSize);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (i % pool.size() == 0) std::shuffle(pool.begin(), pool.end(), random);
      std::memcpy(batch.page(i), pool[i % pool.size()], kPageSize);
    }
    for (const std::string& codec : options.codecs) {
      Result<gpu::Gpu> gpu = gpu::Gpu::open(options_for(codec, options.device));
      if (!gpu) return std::move(gpu).error();
      report.info = gpu->info();
      Result<pleat_gpu_rates> rates = gpu->measure(count, batch.data(), options.repeats);
      if (!rates) return std::move(rates).error();
      // The decoder's design is the GPU's; the processor has one.
      Result<CoresRates> cores = measure_cores(codec.substr(0, codec.find(',')), kernels, batch,
                                               count, options.threads, options.repeats);
      if (!cores) return std::move(cores).error();
      report.rows.push_back({.codec = codec, .pages = count, .gpu = *rates, .cores = *cores});
    }
  }
  return report;
}

std::string to_text(const GpuBenchReport& report) {
  std::string text = fmt::format(
      "GPU: {}\nPages: {} distinct, XXH64 {}, {} same-filled ones left out; {} repeats; cores: "
      "{}\n\n",
      describe(report.info), report.distinct_pages, report.pages_hash, report.same_filled,
      report.repeats, report.threads);
  std::vector<std::vector<std::string>> rows = {
      {"Codec", "Pages", "Ratio", "of CPU's", "Raw", "Compress, in VRAM", "host to host", "cores",
       "Decompress, in VRAM", "host to host", "cores", "Link there", "Link back", "Latency us"}};
  for (const GpuBenchRow& row : report.rows) {
    rows.push_back({row.codec, std::to_string(row.pages), fmt::format("{:.3f}", row.gpu.ratio),
                    fmt::format("{:.3f}", row.gpu.ratio / row.cores.ratio),
                    std::to_string(row.gpu.raw), gb(row.gpu.compress), gb(row.gpu.compress_host),
                    gb(row.cores.compress), gb(row.gpu.decompress), gb(row.gpu.decompress_host),
                    gb(row.cores.decompress), gb(row.gpu.to_device), gb(row.gpu.from_device),
                    fmt::format("{:.1f}", row.gpu.latency_us)});
  }
  text += markdown_table(rows);
  text += "\nPages in VRAM, to the machine's memory and back:\n\n";
  std::vector<std::vector<std::string>> saves = {
      {"Codec", "Pages", "Saved as blocks", "as they are", "Times", "Brought back from blocks",
       "as they are", "Times"}};
  for (const GpuBenchRow& row : report.rows) {
    saves.push_back({row.codec, std::to_string(row.pages), gb(row.gpu.compress_from_device),
                     gb(row.gpu.from_device),
                     fmt::format("{:.2f}", row.gpu.compress_from_device / row.gpu.from_device),
                     gb(row.gpu.decompress_to_device), gb(row.gpu.to_device),
                     fmt::format("{:.2f}", row.gpu.decompress_to_device / row.gpu.to_device)});
  }
  text += markdown_table(saves);
  text +=
      "\nRates are 1e9 bytes of pages a second, medians; every page with a block was compared on "
      "both sides, and every page that was brought back to VRAM.\n";
  return text;
}

Result<std::string> describe_gpu(const codec::Kernels& kernels, const GpuInfoOptions& options) {
  Result<gpu::Gpu> opened = gpu::Gpu::open(options_for(options.codec, options.device));
  if (!opened) return std::move(opened).error();
  const pleat_gpu_info info = opened->info();
  // The emulator takes a tenth of a millisecond and more for a page.
  const std::uint32_t count = info.emulated != 0 ? 64 : kStandardPages;
  const PageBuffer pages = standard_pages(count);
  Result<pleat_gpu_rates> measured = opened->measure(count, pages.data(), kInfoRepeats);
  if (!measured) return std::move(measured).error();
  Result<CoresRates> core = measure_cores(options.codec, kernels, pages, count, 1, kInfoRepeats);
  if (!core) return std::move(core).error();
  const gpu::OffloadRates rates = {.to_device = measured->to_device,
                                   .from_device = measured->from_device,
                                   .compress = measured->compress,
                                   .decompress = measured->decompress,
                                   .compress_host = measured->compress_host,
                                   .decompress_host = measured->decompress_host,
                                   .compress_from_device = measured->compress_from_device,
                                   .decompress_to_device = measured->decompress_to_device,
                                   .core_compress = core->compress,
                                   .core_decompress = core->decompress,
                                   .latency_us = measured->latency_us};
  std::string text = fmt::format(
      "GPU {}: {}\nlink: {} GB/s there, {} back; latency of one page: {:.1f} us\n"
      "{}, {} standard pages, ratio {:.2f}: GPU compresses {} GB/s, decompresses {}; one core {} "
      "and {}\n"
      "pages in VRAM: saved as blocks {} GB/s, as they are {}; brought back from blocks {}, as "
      "they "
      "are {}\n\n",
      options.device, describe(info), gb(rates.to_device), gb(rates.from_device), rates.latency_us,
      options.codec, count, measured->ratio, gb(rates.compress), gb(rates.decompress),
      gb(rates.core_compress), gb(rates.core_decompress), gb(rates.compress_from_device),
      gb(rates.from_device), gb(rates.decompress_to_device), gb(rates.to_device));
  std::vector<std::vector<std::string>> rows = {
      {"Work", "Pages are", "GPU GB/s", "Limit", "Cores GB/s", "GPU from", "16384 pages go to"}};
  for (const gpu::Work work : {gpu::Work::kCompress, gpu::Work::kDecompress}) {
    for (const gpu::Pages where : {gpu::Pages::kInHostMemory, gpu::Pages::kInDeviceMemory}) {
      const gpu::OffloadDecision decision = gpu::decide_offload(
          rates, work, where, std::max(1.0, measured->ratio), options.threads, kStandardPages);
      rows.push_back(
          {work == gpu::Work::kCompress ? "compress" : "decompress",
           where == gpu::Pages::kInHostMemory ? "in host memory" : "in VRAM", gb(decision.gpu_rate),
           gpu::name_of(decision.bound), gb(decision.cores_rate),
           decision.pages_min == 0 ? "never" : fmt::format("{} pages", decision.pages_min),
           decision.gpu ? "GPU" : "cores"});
    }
  }
  text += markdown_table(rows);
  text += fmt::format("\nfor {} free cores\n", options.threads);
  return text;
}

}  // namespace pleat::tool
