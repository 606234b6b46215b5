// SPDX-License-Identifier: MIT OR Apache-2.0
// What the reports print, as people and programs read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tool/codec_report.h"
#include "tool/store_report.h"
#include "tool/text_table.h"

namespace pleat::tool {
namespace {

using testing::HasSubstr;
using testing::Not;

CodecBenchReport codec_report() {
  CodecBenchReport report;
  report.repeats = 5;
  CorpusResult corpus;
  corpus.name = "jvm";
  corpus.pages = 100;
  corpus.same_filled = 7;
  CodecResult peer;
  peer.codec = "liblz4 1.2.3";
  peer.ratio = 2.5;
  peer.ratio_of_liblz4 = 1;
  CodecResult ours = peer;
  ours.codec = "lz4";
  ours.isa = "avx2";
  ours.compress.gb_per_s = 1.25;
  ours.compress.of_liblz4 = 1.125;
  ours.decompress.call_p99_ns = 4321;
  ours.decompress_liblz4_blocks.gb_per_s = 3.5;
  ours.decompress_batches.gb_per_s = 8.5;
  corpus.codecs = {peer, ours};
  report.corpora.push_back(corpus);
  report.mean = mean_of(report.corpora);
  return report;
}

TEST(CodecReport, JsonHasEveryMeasureUnderItsName) {
  const nlohmann::json json = to_json(codec_report(), Machine{"cpu", 2, "Linux", "g++", "scalar"});
  EXPECT_EQ(json.at("machine").at("cpu"), "cpu");
  EXPECT_EQ(json.at("method").at("repeats"), 5);
  EXPECT_EQ(json.at("method").at("raw_threshold_bytes"), 3072);
  const nlohmann::json& corpus = json.at("corpora").at(0);
  EXPECT_EQ(corpus.at("name"), "jvm");
  EXPECT_EQ(corpus.at("pages"), 100);
  EXPECT_EQ(corpus.at("same_filled"), 7);
  EXPECT_EQ(corpus.at("synthetic"), false);
  const nlohmann::json& ours = corpus.at("codecs").at(1);
  EXPECT_EQ(ours.at("codec"), "lz4");
  EXPECT_EQ(ours.at("isa"), "avx2");
  EXPECT_EQ(ours.at("ratio"), 2.5);
  EXPECT_EQ(ours.at("compress").at("of_liblz4"), 1.125);
  EXPECT_EQ(ours.at("decompress").at("call_p99_ns"), 4321);
  EXPECT_EQ(ours.at("decompress_liblz4_blocks").at("gb_per_s"), 3.5);
  EXPECT_EQ(ours.at("decompress_batches").at("gb_per_s"), 8.5);
  EXPECT_FALSE(corpus.at("codecs").at(0).contains("decompress_liblz4_blocks"));
  EXPECT_EQ(json.at("mean").size(), 2u);
}

TEST(CodecReport, TextShowsMeasurementsAndLeavesOutWhatThereIsNot) {
  const std::string text = to_text(codec_report(), Machine{"cpu", 2, "Linux", "g++", "scalar"});
  EXPECT_THAT(text, HasSubstr("jvm 100 (7 same-filled)"));
  EXPECT_THAT(text, HasSubstr("lz4/avx2"));
  EXPECT_THAT(text, HasSubstr("1.25"));
  EXPECT_THAT(text, HasSubstr("8.50"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
  EXPECT_THAT(text, Not(HasSubstr("inf")));
}

StoreCorpusResult store_corpus(bool zram) {
  StoreCorpusResult corpus;
  corpus.name = "node";
  corpus.pages = 10;
  corpus.memory.ratio = 2;
  std::vector<const char*> names = {"memcpy", "lz4/scalar alone", "store"};
  if (zram) names.insert(names.end(), {"kernel zram", "kernel zram, same-filled"});
  double us = 1;
  for (const char* name : names) {
    StoreResult result;
    result.subject = name;
    for (OperationTimes& times : result.operations) times.us = us;
    corpus.results.push_back(result);
    us *= 2;
  }
  // The store at 4 us, the codec at 2: +100 %. zram at 8, of which same-filled pages cost 3.
  if (zram) {
    for (OperationTimes& times : corpus.results[kZramSameFilledResult].operations) times.us = 3;
  }
  return corpus;
}

TEST(StoreReport, ComparesWithTheCodecAndWithZram) {
  StoreBenchReport report;
  report.repeats = 1;
  report.corpora = {store_corpus(true)};
  const std::string text = to_text(report, Machine{});
  EXPECT_THAT(text, HasSubstr("+100.0 %"));
  EXPECT_THAT(text, HasSubstr("zram write of store write"));
  EXPECT_THAT(text, HasSubstr("2.00"));
  EXPECT_THAT(text, HasSubstr("1.25")) << "(8 - 3) / 4";
}

TEST(StoreReport, SaysNothingOfZramWhereItWasNotMeasured) {
  StoreBenchReport report;
  report.corpora = {store_corpus(false)};
  StoreResult threads;
  threads.subject = "store";
  threads.threads = 2;
  report.corpora[0].results.push_back(threads);
  const std::string text = to_text(report, Machine{});
  EXPECT_THAT(text, Not(HasSubstr("zram")));
  EXPECT_THAT(text, HasSubstr("store, 2 threads"));
  EXPECT_THAT(text, Not(HasSubstr("nan")));
}

TEST(StoreReport, JsonHasEveryMeasureUnderItsName) {
  StoreBenchReport report;
  report.repeats = 4;
  report.codec = "lz4";
  report.corpora = {store_corpus(true)};
  report.corpora[0].memory.zram_ratio = 1.5;
  const nlohmann::json json = to_json(report, Machine{});
  EXPECT_EQ(json.at("method").at("repeats"), 4);
  const nlohmann::json& corpus = json.at("corpora").at(0);
  EXPECT_EQ(corpus.at("results").at(kStoreResult).at("subject"), "store");
  EXPECT_EQ(corpus.at("results").at(kStoreResult).at("write").at("us"), 4);
  EXPECT_EQ(corpus.at("results").at(kZramResult).at("discard").at("us"), 8);
  EXPECT_EQ(corpus.at("memory").at("ratio"), 2);
  EXPECT_EQ(corpus.at("memory").at("zram_ratio"), 1.5);
  EXPECT_EQ(json.at("mean").at("name"), "mean");
}

TEST(MarkdownTable, AlignsNumbersToTheRight) {
  EXPECT_EQ(markdown_table({{"Name", "us"}, {"a", "1.5"}, {"bcdef", "10"}}),
            "| Name  |  us |\n"
            "|-------|----:|\n"
            "| a     | 1.5 |\n"
            "| bcdef |  10 |\n");
  EXPECT_EQ(markdown_table({}), "");
}

TEST(Machine, IsSeenAsItIs) {
  const Machine machine = this_machine();
  EXPECT_GT(machine.cpus, 0u);
  EXPECT_THAT(machine.kernel, HasSubstr("Linux "));
  EXPECT_THAT(machine.isa, HasSubstr("scalar"));
  EXPECT_THAT(to_string(machine), HasSubstr(machine.compiler));
}

}  // namespace
}  // namespace pleat::tool
