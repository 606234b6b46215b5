// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/codec_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <random>
#include <span>
#include <utility>

#include "base/sample_stats.h"

namespace pleat::tool {
namespace {

using Order = std::vector<std::size_t>;

// The worst cases for a page are LZ4's 4128 and the line format's 4439 bytes. The stride between
// blocks is a multiple of a cache line and not of a page, so that blocks do not all begin in the
// same cache set, and leaves room to spare.
constexpr std::size_t kBlockStride = 4096 + 512 + 64;

Order shuffled(std::size_t count, std::mt19937_64& random) {
  Order order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

// What the repeats of one direction have measured so far.
struct Samples {
  std::vector<std::uint64_t> pass_ns;
  std::vector<std::uint64_t> call_ticks;
};

double best_rate(const std::vector<std::uint64_t>& pass_ns, std::size_t pages) {
  const std::uint64_t best =
      std::max<std::uint64_t>(1, *std::min_element(pass_ns.begin(), pass_ns.end()));
  return static_cast<double>(pages * kPageSize) / static_cast<double>(best);
}

CallTimes summarise(Samples& samples, std::size_t pages, double ticks_per_second) {
  CallTimes times;
  if (samples.pass_ns.empty()) return times;
  times.gb_per_s = best_rate(samples.pass_ns, pages);
  const double best = static_cast<double>(pages * kPageSize) / times.gb_per_s;
  times.spread = static_cast<double>(median(samples.pass_ns)) / best - 1;
  const double ns_per_tick = 1e9 / ticks_per_second;
  times.call_p50_ns = static_cast<double>(quantile(samples.call_ticks, 0.50)) * ns_per_tick;
  times.call_p99_ns = static_cast<double>(quantile(samples.call_ticks, 0.99)) * ns_per_tick;
  return times;
}

// One codec's passes over one page set.
class Contestant {
 public:
  Contestant(const CodecSubject& subject, const PageSet& set, const BenchClock& clock)
      : subject_(&subject),
        set_(&set),
        clock_(&clock),
        blocks_(set.count * kBlockStride),
        sizes_(set.count) {}

  // Compresses every page, in `order`, page i to block place[i].
  Result<void> compress(const Order& order, const Order& place) {
    place_ = &place;
    const std::uint64_t begin = clock_->cpu_ns();
    for (const std::size_t i : order) sizes_[i] = compress_page(i);
    compress_samples_.pass_ns.push_back(clock_->cpu_ns() - begin);
    for (const std::size_t i : order) {
      const std::uint64_t tick = clock_->ticks();
      sizes_[i] = compress_page(i);
      compress_samples_.call_ticks.push_back(clock_->ticks() - tick);
    }
    for (std::size_t i = 0; i < set_->count; ++i) {
      if (sizes_[i] == 0 || sizes_[i] > kBlockStride) {
        return Error{EBADMSG,
                     fmt::format("{} does not compress page {} of {}", label(), i, set_->name)};
      }
    }
    return {};
  }

  // Decompresses the blocks of `from`, in `order`, page i to page place[i] of `pages`, and
  // compares.
  Result<void> decompress(const Contestant& from, const Order& order, const Order& place,
                          PageBuffer& pages) {
    Samples& samples = &from == this ? decompress_samples_ : foreign_samples_;
    bool well_formed = true;
    std::memset(pages.data(), 0x5a, pages.bytes());
    const std::uint64_t begin = clock_->cpu_ns();
    for (const std::size_t i : order) {
      well_formed &= subject_->decompress(from.block(i), from.sizes_[i], pages.page(place[i]));
    }
    samples.pass_ns.push_back(clock_->cpu_ns() - begin);
    Result<void> verified = verify(well_formed, place, pages);
    if (!verified) return verified;

    std::memset(pages.data(), 0xa5, pages.bytes());
    for (const std::size_t i : order) {
      const std::uint64_t tick = clock_->ticks();
      well_formed &= subject_->decompress(from.block(i), from.sizes_[i], pages.page(place[i]));
      samples.call_ticks.push_back(clock_->ticks() - tick);
    }
    return verify(well_formed, place, pages);
  }

  // As above, but in calls of kBatchPages pages.
  void compress_batches(const Order& order, const Order& place) {
    place_ = &place;
    const std::uint64_t begin = clock_->cpu_ns();
    for_batches(order, [this](std::span<const std::size_t> batch) {
      if (!subject_->compress_pages) {
        for (const std::size_t i : batch) compress_page(i);
        return;
      }
      std::array<const void*, kBatchPages> pages;
      std::array<void*, kBatchPages> blocks;
      std::array<std::int32_t, kBatchPages> sizes;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        pages[i] = set_->page(batch[i]);
        blocks[i] = block(batch[i]);
      }
      subject_->compress_pages({pages.data(), batch.size()}, blocks.data(), kBlockStride,
                               sizes.data());
    });
    compress_batch_ns_.push_back(clock_->cpu_ns() - begin);
  }

  // To kBatchPages buffers that all calls use again, as a device uses those of its queue. Not
  // compared while they are timed: the same calls are made again for that.
  Result<void> decompress_batches(const Order& order, PageBuffer& pages) {
    const auto decompress = [&](std::span<const std::size_t> batch) {
      if (!subject_->decompress_pages) {
        bool well_formed = true;
        for (std::size_t i = 0; i < batch.size(); ++i) {
          well_formed &= subject_->decompress(block(batch[i]), sizes_[batch[i]], pages.page(i));
        }
        return well_formed;
      }
      std::array<const void*, kBatchPages> blocks;
      std::array<void*, kBatchPages> targets;
      std::array<std::int32_t, kBatchPages> sizes;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        blocks[i] = block(batch[i]);
        sizes[i] = static_cast<std::int32_t>(sizes_[batch[i]]);
        targets[i] = pages.page(i);
      }
      return subject_->decompress_pages({blocks.data(), batch.size()}, sizes.data(),
                                        targets.data());
    };
    const std::uint64_t begin = clock_->cpu_ns();
    for_batches(order, decompress);
    decompress_batch_ns_.push_back(clock_->cpu_ns() - begin);
    bool right = true;
    for_batches(order, [&](std::span<const std::size_t> batch) {
      std::memset(pages.data(), 0x5a, kBatchPages * kPageSize);
      right &= decompress(batch);
      for (std::size_t i = 0; i < batch.size(); ++i) {
        right &= std::memcmp(pages.page(i), set_->page(batch[i]), kPageSize) == 0;
      }
    });
    if (right) return {};
    return Error{EBADMSG, fmt::format("pages of {} come back wrong from batches of {}", set_->name,
                                      label())};
  }

  CodecResult result() {
    CodecResult result;
    result.codec = subject_->name;
    result.isa = subject_->isa;
    std::size_t stored = 0;
    for (const std::size_t size : sizes_) stored += size > kRawThresholdBytes ? kPageSize : size;
    result.ratio = static_cast<double>(set_->count * kPageSize) / static_cast<double>(stored);
    const double rate = clock_->rate();
    result.compress = summarise(compress_samples_, set_->count, rate);
    result.decompress = summarise(decompress_samples_, set_->count, rate);
    result.decompress_liblz4_blocks = summarise(foreign_samples_, set_->count, rate);
    result.compress_batches.gb_per_s = best_rate(compress_batch_ns_, set_->count);
    result.decompress_batches.gb_per_s = best_rate(decompress_batch_ns_, set_->count);
    return result;
  }

  const CodecSubject& subject() const { return *subject_; }

 private:
  std::string label() const {
    return subject_->isa.empty() ? subject_->name : subject_->name + "/" + subject_->isa;
  }
  std::byte* block(std::size_t i) { return blocks_.data() + (*place_)[i] * kBlockStride; }
  const std::byte* block(std::size_t i) const {
    return blocks_.data() + (*place_)[i] * kBlockStride;
  }
  std::size_t compress_page(std::size_t i) {
    return subject_->compress(set_->page(i), block(i), kBlockStride);
  }

  Result<void> verify(bool well_formed, const Order& place, const PageBuffer& pages) const {
    for (std::size_t i = 0; i < set_->count; ++i) {
      if (std::memcmp(pages.page(place[i]), set_->page(i), kPageSize) == 0) continue;
      return Error{EBADMSG,
                   fmt::format("page {} of {} comes back wrong from {}", i, set_->name, label())};
    }
    if (!well_formed) {
      return Error{EBADMSG,
                   fmt::format("{} calls a valid block of {} corrupt", label(), set_->name)};
    }
    return {};
  }

  template <typename Call>
  static void for_batches(const Order& order, const Call& call) {
    const std::span<const std::size_t> pages(order);
    for (std::size_t at = 0; at < pages.size(); at += kBatchPages) {
      call(pages.subspan(at, std::min(kBatchPages, pages.size() - at)));
    }
  }

  const CodecSubject* subject_;
  const PageSet* set_;
  const BenchClock* clock_;
  PageBuffer blocks_;
  std::vector<std::size_t> sizes_;
  const Order* place_ = nullptr;
  Samples compress_samples_;
  Samples decompress_samples_;
  Samples foreign_samples_;
  std::vector<std::uint64_t> compress_batch_ns_;
  std::vector<std::uint64_t> decompress_batch_ns_;
};

Result<void> run_repeat(std::vector<Contestant>& contestants, std::size_t count,
                        std::mt19937_64& random, PageBuffer& pages) {
  const Order compress_order = shuffled(count, random);
  const Order decompress_order = shuffled(count, random);
  const Order block_place = shuffled(count, random);
  const Order page_place = shuffled(count, random);
  const Order turns = shuffled(contestants.size(), random);
  for (const std::size_t turn : turns) {
    contestants[turn].compress_batches(compress_order, block_place);
    Result<void> done = contestants[turn].compress(compress_order, block_place);
    if (!done) return done;
  }
  for (const std::size_t turn : turns) {
    Contestant& contestant = contestants[turn];
    Result<void> done = contestant.decompress(contestant, decompress_order, page_place, pages);
    if (done && turn != 0 && contestant.subject().lz4_format) {
      done = contestant.decompress(contestants[0], decompress_order, page_place, pages);
    }
    if (done) done = contestant.decompress_batches(decompress_order, pages);
    if (!done) return done;
  }
  return {};
}

double quotient(double value, double by) { return by > 0 ? value / by : 0; }

void compare_with(const CodecResult& peer, CodecResult& result) {
  result.ratio_of_liblz4 = quotient(result.ratio, peer.ratio);
  result.compress.of_liblz4 = quotient(result.compress.gb_per_s, peer.compress.gb_per_s);
  result.decompress.of_liblz4 = quotient(result.decompress.gb_per_s, peer.decompress.gb_per_s);
  result.compress_batches.of_liblz4 =
      quotient(result.compress_batches.gb_per_s, peer.compress_batches.gb_per_s);
  result.decompress_batches.of_liblz4 =
      quotient(result.decompress_batches.gb_per_s, peer.decompress_batches.gb_per_s);
  result.decompress_liblz4_blocks.of_liblz4 =
      quotient(result.decompress_liblz4_blocks.gb_per_s, peer.decompress.gb_per_s);
}

Result<CorpusResult> run_corpus(const PageSet& set, const CodecSubject& peer,
                                const std::vector<CodecSubject>& subjects,
                                const CodecBenchOptions& options) {
  std::mt19937_64 random(options.seed);
  std::vector<Contestant> contestants;
  contestants.emplace_back(peer, set, options.clock);
  for (const CodecSubject& subject : subjects) {
    contestants.emplace_back(subject, set, options.clock);
  }
  PageBuffer pages(std::max(set.count, kBatchPages) * kPageSize);
  for (unsigned repeat = 0; repeat < options.repeats; ++repeat) {
    Result<void> done = run_repeat(contestants, set.count, random, pages);
    if (!done) return std::move(done).error();
  }
  CorpusResult result;
  result.name = set.name;
  result.synthetic = set.synthetic;
  result.pages = set.count;
  result.same_filled = set.same_filled;
  for (Contestant& contestant : contestants) {
    result.codecs.push_back(contestant.result());
    compare_with(result.codecs.front(), result.codecs.back());
  }
  return result;
}

CallTimes mean_times(const std::vector<CallTimes>& times) {
  const auto all = [&times](double CallTimes::*field) {
    std::vector<double> values;
    for (const CallTimes& one : times) values.push_back(one.*field);
    return values;
  };
  CallTimes mean;
  mean.gb_per_s = geometric_mean(all(&CallTimes::gb_per_s));
  mean.of_liblz4 = geometric_mean(all(&CallTimes::of_liblz4));
  mean.spread = median(all(&CallTimes::spread));
  mean.call_p50_ns = median(all(&CallTimes::call_p50_ns));
  std::vector<double> p99 = all(&CallTimes::call_p99_ns);
  mean.call_p99_ns = p99.empty() ? 0 : *std::max_element(p99.begin(), p99.end());
  return mean;
}

}  // namespace

std::vector<CodecResult> mean_of(const std::vector<CorpusResult>& all_corpora) {
  // Zeros and random bytes are no workload: they would pull the mean of real pages anywhere.
  std::vector<CorpusResult> corpora;
  for (const CorpusResult& corpus : all_corpora) {
    if (!corpus.synthetic) corpora.push_back(corpus);
  }
  if (corpora.empty()) corpora = all_corpora;
  std::vector<CodecResult> means;
  if (corpora.empty()) return means;
  for (std::size_t i = 0; i < corpora.front().codecs.size(); ++i) {
    std::vector<double> ratio;
    std::vector<double> ratio_of_liblz4;
    std::vector<CallTimes> compress;
    std::vector<CallTimes> decompress;
    std::vector<CallTimes> foreign;
    std::vector<CallTimes> compress_batches;
    std::vector<CallTimes> decompress_batches;
    for (const CorpusResult& corpus : corpora) {
      const CodecResult& codec = corpus.codecs[i];
      ratio.push_back(codec.ratio);
      ratio_of_liblz4.push_back(codec.ratio_of_liblz4);
      compress.push_back(codec.compress);
      decompress.push_back(codec.decompress);
      foreign.push_back(codec.decompress_liblz4_blocks);
      compress_batches.push_back(codec.compress_batches);
      decompress_batches.push_back(codec.decompress_batches);
    }
    CodecResult mean;
    mean.codec = corpora.front().codecs[i].codec;
    mean.isa = corpora.front().codecs[i].isa;
    mean.ratio = geometric_mean(ratio);
    mean.ratio_of_liblz4 = geometric_mean(ratio_of_liblz4);
    mean.compress = mean_times(compress);
    mean.decompress = mean_times(decompress);
    mean.decompress_liblz4_blocks = mean_times(foreign);
    mean.compress_batches = mean_times(compress_batches);
    mean.decompress_batches = mean_times(decompress_batches);
    means.push_back(mean);
  }
  return means;
}

Result<CodecBenchReport> run_codec_bench(const std::vector<PageSet>& sets, const CodecSubject& peer,
                                         const std::vector<CodecSubject>& subjects,
                                         const CodecBenchOptions& options) {
  if (sets.empty() || options.repeats == 0) {
    return Error{EINVAL, "a benchmark needs pages and at least one repeat"};
  }
  CodecBenchReport report;
  report.repeats = options.repeats;
  for (const PageSet& set : sets) {
    Result<CorpusResult> corpus = run_corpus(set, peer, subjects, options);
    if (!corpus) return std::move(corpus).error();
    report.corpora.push_back(std::move(*corpus));
  }
  report.mean = mean_of(report.corpora);
  return report;
}

}  // namespace pleat::tool
