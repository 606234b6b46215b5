// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/codec_bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "bench/fake_clock.h"

namespace pleat::tool {
namespace {

using testing::HasSubstr;

constexpr std::size_t kPages = 20;

std::vector<PageSet> one_set(const char* name = "random") {
  std::vector<PageSet> sets;
  for (PageSet& set : synthetic_page_sets(kPages, 1)) {
    if (set.name == name) sets.push_back(std::move(set));
  }
  return sets;
}

// A codec that stores the whole page behind `padding` bytes and takes known times.
CodecSubject fake_codec(const char* name, std::size_t padding, std::uint64_t compress_ns,
                        std::uint64_t decompress_ns) {
  CodecSubject subject;
  subject.name = name;
  subject.compress = [=](const std::byte* page, std::byte* dst, std::size_t) {
    fake_now_ns += compress_ns;
    std::memcpy(dst + padding, page, kPageSize);
    return kPageSize + padding;
  };
  subject.decompress = [=](const std::byte* src, std::size_t, std::byte* page) {
    fake_now_ns += decompress_ns;
    std::memcpy(page, src + padding, kPageSize);
    return true;
  };
  return subject;
}

CodecBenchOptions fake_options(unsigned repeats = 3) {
  CodecBenchOptions options;
  options.repeats = repeats;
  options.clock = fake_clock();
  return options;
}

TEST(CodecBench, ComputesThroughputAndItsShareOfThePeersFromTheClock) {
  const CodecSubject peer = fake_codec("peer", 0, 4096, 2048);
  const std::vector<CodecSubject> subjects = {fake_codec("ours", 0, 1024, 4096)};
  Result<CodecBenchReport> report = run_codec_bench(one_set(), peer, subjects, fake_options());
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->corpora.size(), 1u);
  const std::vector<CodecResult>& codecs = report->corpora[0].codecs;
  ASSERT_EQ(codecs.size(), 2u);
  EXPECT_EQ(codecs[0].codec, "peer");
  EXPECT_DOUBLE_EQ(codecs[0].compress.gb_per_s, 1.0);
  EXPECT_DOUBLE_EQ(codecs[0].decompress.gb_per_s, 2.0);
  EXPECT_DOUBLE_EQ(codecs[0].compress.of_liblz4, 1.0);
  EXPECT_DOUBLE_EQ(codecs[1].compress.gb_per_s, 4.0);
  EXPECT_DOUBLE_EQ(codecs[1].compress.of_liblz4, 4.0);
  EXPECT_DOUBLE_EQ(codecs[1].decompress.gb_per_s, 1.0);
  EXPECT_DOUBLE_EQ(codecs[1].decompress.of_liblz4, 0.5);
  EXPECT_DOUBLE_EQ(codecs[1].compress.call_p50_ns, 1024);
  EXPECT_DOUBLE_EQ(codecs[1].compress.call_p99_ns, 1024);
  EXPECT_DOUBLE_EQ(codecs[1].compress.spread, 0);
}

TEST(CodecBench, ThroughputIsTheBestRepeatsAndSpreadTheMedians) {
  // Each repeat makes three passes of compression, which cost 2, 1 and 4 a page.
  const auto calls = std::make_shared<std::size_t>(0);
  CodecSubject subject = fake_codec("drifting", 0, 0, 1);
  subject.compress = [calls](const std::byte* page, std::byte* dst, std::size_t) {
    constexpr std::uint64_t kCostNs[] = {2048, 1024, 4096};
    fake_now_ns += kCostNs[(*calls)++ / (3 * kPages)];
    std::memcpy(dst, page, kPageSize);
    return kPageSize;
  };
  Result<CodecBenchReport> report =
      run_codec_bench(one_set(), fake_codec("peer", 0, 4096, 4096), {subject}, fake_options(3));
  ASSERT_TRUE(report) << report.error().message;
  const CallTimes& compress = report->corpora[0].codecs[1].compress;
  EXPECT_DOUBLE_EQ(compress.gb_per_s, 4.0);
  EXPECT_DOUBLE_EQ(compress.spread, 1.0);
  EXPECT_DOUBLE_EQ(compress.call_p50_ns, 2048);
  EXPECT_DOUBLE_EQ(compress.call_p99_ns, 4096);
}

TEST(CodecBench, APageOverTheThresholdCountsAsAWholeOne) {
  // The first half of the pages at 3072 bytes, the others at 3073, whatever is in the block.
  const std::vector<PageSet> sets = one_set();
  CodecSubject subject = fake_codec("sized", 0, 1, 1);
  subject.compress = [&sets](const std::byte* page, std::byte* dst, std::size_t) {
    std::memcpy(dst, page, kPageSize);
    const auto index = static_cast<std::size_t>(page - sets[0].page(0)) / kPageSize;
    return index < kPages / 2 ? kRawThresholdBytes : kRawThresholdBytes + 1;
  };
  Result<CodecBenchReport> report =
      run_codec_bench(sets, fake_codec("peer", 0, 1, 1), {subject}, fake_options());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_DOUBLE_EQ(report->corpora[0].codecs[1].ratio, 2 * 4096.0 / (3072 + 4096));
  EXPECT_DOUBLE_EQ(report->corpora[0].codecs[0].ratio, 1.0);
}

TEST(CodecBench, BatchesGoToTheCallForManyPagesWhereThereIsOne) {
  CodecSubject subject = fake_codec("both", 0, 4096, 4096);
  subject.compress_pages = [](std::span<const void* const> pages, void* const* dst, std::size_t,
                              std::int32_t* sizes) {
    fake_now_ns += 2048 * pages.size();
    for (std::size_t i = 0; i < pages.size(); ++i) {
      std::memcpy(dst[i], pages[i], kPageSize);
      sizes[i] = kPageSize;
    }
  };
  subject.decompress_pages = [](std::span<const void* const> src, const std::int32_t* sizes,
                                void* const* pages) {
    fake_now_ns += 1024 * src.size();
    for (std::size_t i = 0; i < src.size(); ++i) {
      std::memcpy(pages[i], src[i], static_cast<std::size_t>(sizes[i]));
    }
    return true;
  };
  Result<CodecBenchReport> report =
      run_codec_bench(one_set(), fake_codec("peer", 0, 4096, 2048), {subject}, fake_options());
  ASSERT_TRUE(report) << report.error().message;
  const std::vector<CodecResult>& codecs = report->corpora[0].codecs;
  EXPECT_DOUBLE_EQ(codecs[0].compress_batches.gb_per_s, 1.0);
  EXPECT_DOUBLE_EQ(codecs[0].decompress_batches.gb_per_s, 2.0);
  EXPECT_DOUBLE_EQ(codecs[1].compress.gb_per_s, 1.0);
  EXPECT_DOUBLE_EQ(codecs[1].compress_batches.gb_per_s, 2.0);
  EXPECT_DOUBLE_EQ(codecs[1].compress_batches.of_liblz4, 2.0);
  EXPECT_DOUBLE_EQ(codecs[1].decompress_batches.gb_per_s, 4.0);
  EXPECT_DOUBLE_EQ(codecs[1].decompress_batches.of_liblz4, 2.0);

  subject.decompress_pages = [](std::span<const void* const> src, const std::int32_t* sizes,
                                void* const* pages) {
    for (std::size_t i = 0; i < src.size(); ++i) {
      std::memcpy(pages[i], src[i], static_cast<std::size_t>(sizes[i]) - (i == 7 ? 1 : 0));
    }
    return true;
  };
  report = run_codec_bench(one_set(), fake_codec("peer", 0, 1, 1), {subject}, fake_options());
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("come back wrong from batches of both"));
}

TEST(CodecBench, CatchesADecompressorThatChangesOneByte) {
  CodecSubject subject = fake_codec("wrong", 0, 1, 1);
  subject.decompress = [](const std::byte* src, std::size_t, std::byte* page) {
    std::memcpy(page, src, kPageSize);
    page[4095] ^= std::byte{1};
    return true;
  };
  Result<CodecBenchReport> report =
      run_codec_bench(one_set(), fake_codec("peer", 0, 1, 1), {subject}, fake_options());
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, EBADMSG);
  EXPECT_THAT(report.error().message, HasSubstr("comes back wrong from wrong"));
}

TEST(CodecBench, CatchesADecompressorThatDoesNothingAfterTheFirstTime) {
  const auto calls = std::make_shared<std::size_t>(0);
  CodecSubject subject = fake_codec("lazy", 0, 1, 1);
  subject.decompress = [calls](const std::byte* src, std::size_t, std::byte* page) {
    if ((*calls)++ < kPages) std::memcpy(page, src, kPageSize);
    return true;
  };
  EXPECT_FALSE(run_codec_bench(one_set(), fake_codec("peer", 0, 1, 1), {subject}, fake_options()));
}

TEST(CodecBench, CatchesADecompressorThatCallsAValidBlockCorrupt) {
  CodecSubject subject = fake_codec("strict", 0, 1, 1);
  subject.decompress = [](const std::byte* src, std::size_t, std::byte* page) {
    std::memcpy(page, src, kPageSize);
    return false;
  };
  Result<CodecBenchReport> report =
      run_codec_bench(one_set(), fake_codec("peer", 0, 1, 1), {subject}, fake_options());
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("calls a valid block"));
}

TEST(CodecBench, CatchesACompressorThatGivesUp) {
  CodecSubject subject = fake_codec("unwilling", 0, 1, 1);
  subject.compress = [](const std::byte*, std::byte*, std::size_t) { return std::size_t{0}; };
  Result<CodecBenchReport> report =
      run_codec_bench(one_set(), fake_codec("peer", 0, 1, 1), {subject}, fake_options());
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("unwilling does not compress page"));
}

TEST(CodecBench, GivesThePeersBlocksToCodecsOfItsFormatOnly) {
  // A decompressor that reads blocks with padding cannot read the peer's, which have none.
  CodecSubject same_format = fake_codec("same", 64, 1, 1);
  same_format.lz4_format = true;
  EXPECT_FALSE(
      run_codec_bench(one_set(), fake_codec("peer", 0, 1, 1), {same_format}, fake_options()));
  const CodecSubject other_format = fake_codec("other", 64, 1, 1);
  Result<CodecBenchReport> report =
      run_codec_bench(one_set(), fake_codec("peer", 0, 1, 1), {other_format}, fake_options());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->corpora[0].codecs[1].decompress_liblz4_blocks.gb_per_s, 0);
}

TEST(CodecBench, RealCodecsOfEveryTierPassOverSyntheticPages) {
  std::vector<CodecSubject> subjects = {memcpy_subject()};
  for (const codec::Kernels* kernels : codec::available_kernels()) {
    Result<CodecSubject> subject = pleat_subject("lz4", *kernels);
    ASSERT_TRUE(subject) << subject.error().message;
    subjects.push_back(std::move(*subject));
  }
  CodecBenchOptions options;
  options.repeats = 2;
  Result<CodecBenchReport> report =
      run_codec_bench(synthetic_page_sets(32, 1), liblz4_subject(), subjects, options);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->corpora.size(), 5u);
  for (const CorpusResult& corpus : report->corpora) {
    ASSERT_EQ(corpus.codecs.size(), subjects.size() + 1);
    EXPECT_DOUBLE_EQ(corpus.codecs[1].ratio, 1.0) << "memcpy";
    for (std::size_t i = 2; i < corpus.codecs.size(); ++i) {
      EXPECT_GT(corpus.codecs[i].decompress_liblz4_blocks.gb_per_s, 0) << corpus.name;
      EXPECT_GT(corpus.codecs[i].ratio, corpus.name == "zeros" ? 100.0 : 0.99) << corpus.name;
    }
  }
}

TEST(CodecBench, Liblz4sHcLevelIsACodecThatComesBack) {
  CodecBenchOptions options;
  options.repeats = 1;
  Result<CodecSubject> ours = pleat_subject("lz4hc", *codec::available_kernels().back());
  ASSERT_TRUE(ours) << ours.error().message;
  EXPECT_TRUE(ours->lz4_format);
  Result<CodecBenchReport> report =
      run_codec_bench(synthetic_page_sets(8, 1), liblz4_subject(),
                      {liblz4_hc_subject(), std::move(*ours)}, options);
  ASSERT_TRUE(report) << report.error().message;
  for (const CorpusResult& corpus : report->corpora) {
    EXPECT_EQ(corpus.codecs[1].codec, "liblz4 hc 9");
    EXPECT_GE(corpus.codecs[1].ratio_of_liblz4, 1.0) << corpus.name;
    EXPECT_GE(corpus.codecs[2].ratio_of_liblz4, 1.0) << corpus.name;
  }
}

TEST(CodecBench, LzoIsACodecThatComesBackWhereItIsInstalled) {
  std::optional<CodecSubject> lzo = lzo_subject();
  if (!lzo) GTEST_SKIP() << "liblzo2.so.2 is not installed; packages.txt has it";
  std::byte block[kPageSize];
  const std::vector<std::byte> page(kPageSize);
  EXPECT_EQ(lzo->compress(page.data(), block, sizeof(block)), 0u) << "its bound is more";
  CodecBenchOptions options;
  options.repeats = 1;
  Result<CodecBenchReport> report =
      run_codec_bench(synthetic_page_sets(8, 1), liblz4_subject(), {std::move(*lzo)}, options);
  ASSERT_TRUE(report) << report.error().message;
  for (const CorpusResult& corpus : report->corpora) {
    EXPECT_THAT(corpus.codecs[1].codec, testing::StartsWith("lzo1x-1 "));
    EXPECT_GT(corpus.codecs[1].ratio, 0.99) << corpus.name;
    EXPECT_EQ(corpus.codecs[1].decompress_liblz4_blocks.gb_per_s, 0);
  }
}

TEST(CodecBench, LibzstdIsACodecThatComesBack) {
  CodecBenchOptions options;
  options.repeats = 1;
  Result<CodecSubject> ours = pleat_subject("zstd", *codec::available_kernels().back());
  ASSERT_TRUE(ours) << ours.error().message;
  EXPECT_FALSE(ours->lz4_format);
  Result<CodecBenchReport> report = run_codec_bench(
      synthetic_page_sets(8, 1), liblz4_subject(), {libzstd_subject(1), std::move(*ours)}, options);
  ASSERT_TRUE(report) << report.error().message;
  for (const CorpusResult& corpus : report->corpora) {
    EXPECT_THAT(corpus.codecs[1].codec, testing::MatchesRegex("libzstd [0-9.]+ 1"));
    EXPECT_GT(corpus.codecs[1].ratio, 0.99) << corpus.name;
    EXPECT_GT(corpus.codecs[2].ratio, 0.99) << corpus.name;
  }
}

TEST(CodecBench, RefusesAnUnknownCodecAndNoPages) {
  EXPECT_FALSE(pleat_subject("no-such-codec", *codec::available_kernels()[0]));
  EXPECT_FALSE(run_codec_bench({}, memcpy_subject(), {}, fake_options()));
}

CorpusResult corpus_of(bool synthetic, double ratio, double p50_ns, double p99_ns) {
  CorpusResult corpus;
  corpus.synthetic = synthetic;
  CodecResult codec;
  codec.ratio = ratio;
  codec.compress.gb_per_s = ratio;
  codec.compress.call_p50_ns = p50_ns;
  codec.compress.call_p99_ns = p99_ns;
  corpus.codecs.push_back(codec);
  return corpus;
}

TEST(CodecBench, MeansAreGeometricAndLeaveSyntheticPagesOut) {
  const CodecResult mean =
      mean_of({corpus_of(false, 1, 10, 100), corpus_of(false, 8, 30, 50),
               corpus_of(false, 1, 20, 300), corpus_of(true, 1000, 1, 900)})[0];
  EXPECT_DOUBLE_EQ(mean.ratio, 2.0);
  EXPECT_DOUBLE_EQ(mean.compress.gb_per_s, 2.0);
  EXPECT_DOUBLE_EQ(mean.compress.call_p50_ns, 20);
  EXPECT_DOUBLE_EQ(mean.compress.call_p99_ns, 300);
  EXPECT_DOUBLE_EQ(mean_of({corpus_of(true, 1000, 1, 1)})[0].ratio, 1000);
}

}  // namespace
}  // namespace pleat::tool
