// SPDX-License-Identifier: MIT OR Apache-2.0
// Measures page codecs over page sets, liblz4 in the same run: `pleat bench codec`.
//
// For each page set and repeat: the pages and the addresses that results go to are shuffled anew,
// the codecs take turns in an order that differs each repeat, and each makes six passes over all
// pages: compress and decompress under the CPU clock, again with every call timed by itself
// (so that reading the clock is not part of the throughput), and again in calls of kBatchPages
// pages. Every block is decompressed and compared with its page after each decompressing pass.
//
// Throughput is that of the best repeat: what disturbs a pass only ever adds time. `spread` says
// how far the median repeat was from the best, so that a disturbed run shows. Quantiles are over
// the single calls of all repeats. A page that compresses to more than 3072 bytes counts as 4096 in
// the ratio, as it would be stored raw; it is compressed and decompressed like all others.
// Same-filled pages are compressed like others too, and counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "tool/bench_clock.h"
#include "tool/codec_subject.h"
#include "tool/page_set.h"

namespace pleat::tool {

// A page that does not compress to this many bytes is stored raw: kernel zram's huge_class_size
// is near it, and the store's largest size class below a page.
inline constexpr std::size_t kRawThresholdBytes = 3072;

struct CodecBenchOptions {
  unsigned repeats = 9;
  std::uint64_t seed = 1;
  BenchClock clock;
};

// One direction of one codec over one page set.
struct CallTimes {
  double gb_per_s = 0;   // uncompressed bytes, 1 GB = 1e9 bytes; of the best repeat
  double of_liblz4 = 0;  // gb_per_s over liblz4's; 0 where there is nothing to compare with
  double spread = 0;     // CPU time of the median repeat over that of the best, less 1
  double call_p50_ns = 0;
  double call_p99_ns = 0;
};

struct CodecResult {
  std::string codec;
  std::string isa;
  double ratio = 0;
  double ratio_of_liblz4 = 0;
  CallTimes compress;
  CallTimes decompress;
  // Decompressing liblz4's blocks, against liblz4 on the same blocks; all 0 where the format is
  // another one, and for liblz4 itself.
  CallTimes decompress_liblz4_blocks;
  // In calls of kBatchPages pages, liblz4 page by page; only the throughput.
  CallTimes compress_batches;
  CallTimes decompress_batches;
};

struct CorpusResult {
  std::string name;
  bool synthetic = false;
  std::size_t pages = 0;
  std::size_t same_filled = 0;
  std::vector<CodecResult> codecs;  // the peer first
};

struct CodecBenchReport {
  unsigned repeats = 0;
  std::vector<CorpusResult> corpora;
  // Over the corpora, without synthetic ones where there are real ones: geometric means; of spread
  // and p50 the median, of p99 the largest.
  std::vector<CodecResult> mean;
};

// `peer` is what the others are compared with; it and the subjects need unique (name, isa).
// EBADMSG, with the codec and the page named, as soon as a page does not come back.
Result<CodecBenchReport> run_codec_bench(const std::vector<PageSet>& sets, const CodecSubject& peer,
                                         const std::vector<CodecSubject>& subjects,
                                         const CodecBenchOptions& options);

// What CodecBenchReport::mean holds. All corpora have the same codecs in the same order.
std::vector<CodecResult> mean_of(const std::vector<CorpusResult>& corpora);

}  // namespace pleat::tool
